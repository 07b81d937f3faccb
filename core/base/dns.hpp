#pragma once

#include <string>
#include <string_view>

namespace cloudos {

// Why `text` cannot be a host or node name as Kubernetes wants it (RFC 1123 subdomain: labels of [a-z0-9-], 1 to 63 each,
// separated by dots, 253 in all, no label with '-' at an end): "has an upper-case letter ('W')". "" when it can be.
[[nodiscard]] std::string why_not_dns_name(std::string_view text);
// The same for one label without dots.
[[nodiscard]] std::string why_not_dns_label(std::string_view text);

// Whether it can be the key or the value of a label or taint (Kubernetes: "Labels and Selectors", syntax and character set).
[[nodiscard]] bool is_label_key(std::string_view text);
[[nodiscard]] bool is_label_value(std::string_view text);

}  // namespace cloudos
