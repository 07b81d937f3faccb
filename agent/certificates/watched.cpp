#include "agent/certificates/certificates.hpp"
#include "core/model/paths.hpp"

namespace cloudos::certificates {

std::vector<std::string> watched() {
  std::vector<std::string> out;
  const std::string kubelet = std::string(paths::kubelet_state) + "/pki/", kubernetes = std::string(paths::kubernetes) + "/pki/";
  for (const auto* name : {"kubelet-client-current.pem", "kubelet-server-current.pem"}) out.push_back(kubelet + name);
  for (const auto* name : {"ca.crt", "apiserver.crt", "apiserver-kubelet-client.crt", "apiserver-etcd-client.crt", "front-proxy-ca.crt",
                           "front-proxy-client.crt", "etcd/ca.crt", "etcd/server.crt", "etcd/peer.crt", "etcd/healthcheck-client.crt"})
    out.push_back(kubernetes + name);
  return out;
}

}  // namespace cloudos::certificates
