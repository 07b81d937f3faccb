#pragma once
// Inside agent/http only: a part of a file on its way to a client.

#include "agent/http/events.hpp"

namespace cloudos::http::detail {

// Sends the part with `request`, whose headers are filled, and frees itself when all is sent or the client has gone. One
// piece of the file is in memory at a time: the next is read when the last has gone out. (evbuffer_add_file would map all of
// it: as much in our resident memory, and a file that is cut off would end the process with SIGBUS.)
void send_part(evhttp_request* request, int status, FilePart part);

}  // namespace cloudos::http::detail
