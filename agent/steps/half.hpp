// Taking away a Kubernetes that kubeadm only half set up, so that kubeadm can be run again; images and binaries stay.
#pragma once

#include "agent/steps/session.hpp"

namespace cloudos::steps {

// Leaves etcd when the cluster answers, then `kubeadm reset`. Each part has a deadline: an API that is gone holds nothing up.
[[nodiscard]] Status clean_half(Session& session);

}  // namespace cloudos::steps
