// What the engine asks of every action: check (reads only), the undo record (taken, with backups, before the change) and
// apply. Each family has a file of its own.
#pragma once

#include "agent/steps/session.hpp"

namespace cloudos::steps {

#define CLOUDOS_ACTION(Type)                                       \
  [[nodiscard]] Result<Check> check(const model::Type&, Session&); \
  [[nodiscard]] Result<Undo> before(const model::Type&, Session&); \
  [[nodiscard]] Status apply(const model::Type&, Session&)

// files.cpp, install.cpp
CLOUDOS_ACTION(Folder);
CLOUDOS_ACTION(WriteFile);
CLOUDOS_ACTION(Symlink);
CLOUDOS_ACTION(KeepOnly);
CLOUDOS_ACTION(InstallFile);
// kernel.cpp, swap.cpp
CLOUDOS_ACTION(Sysctl);
CLOUDOS_ACTION(KernelModule);
CLOUDOS_ACTION(SwapOff);
// unit.cpp
CLOUDOS_ACTION(Unit);
// images.cpp
CLOUDOS_ACTION(LoadImages);
// kubeadm.cpp
CLOUDOS_ACTION(KubeadmInit);
CLOUDOS_ACTION(KubeadmJoin);
CLOUDOS_ACTION(KubeadmControlPlane);
// offer.cpp
CLOUDOS_ACTION(OfferJoin);
CLOUDOS_ACTION(WithdrawJoin);
// manifests.cpp
CLOUDOS_ACTION(ApplyManifest);
// nodes.cpp
CLOUDOS_ACTION(NodeSettings);
CLOUDOS_ACTION(NodeReady);
CLOUDOS_ACTION(WorkloadsReady);
// network.cpp
CLOUDOS_ACTION(PodNetwork);

#undef CLOUDOS_ACTION

}  // namespace cloudos::steps
