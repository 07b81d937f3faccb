#include <catch2/catch_test_macros.hpp>

#include "core/model/model.hpp"

using namespace cloudos;
using namespace cloudos::model;

namespace {
Digest digest(char c) { return *Digest::parse(std::string(64, c)); }

Plan a_plan() {
  Plan plan;
  plan.machines = {{.id = {"10.0.0.1"}, .role = Role::master, .node = "m1", .address = "10.0.0.1"}};
  plan.secrets = {"join-token"};
  Stage stage{.id = {"prepare@10.0.0.1"}, .machine = {"10.0.0.1"}, .title = "containerd", .after = {}, .steps = {}};
  const std::vector<Action> actions = {
      Folder{"/etc/cloudos", 0700},
      WriteFile{"/etc/x", 0600, "a\nb"},
      InstallFile{"/b/kubelet", 0755, digest('a'), "zstd", digest('b'), Bytes{5}},
      Symlink{"/a", "/b", true},
      KeepOnly{"/var/lib/cloudos/bundles", {"a", "b"}},
      Sysctl{"net.ipv4.ip_forward", "1"},
      KernelModule{"overlay"},
      SwapOff{},
      Unit{"cloudos-x.service", "[Service]", true, false, {"/etc/x"}},
      LoadImages{{{"pause:1", digest('c'), digest('d'), {digest('e'), digest('a')}}}, true},
      KubeadmInit{"{}", "m1", {"Swap"}},
      KubeadmJoin{"${secret:join-token}", "${value:ca}", "m1", true, {}},
      KubeadmControlPlane{"${secret:certificate-key}", "${value:ca}", "m1", {"Mem"}},
      OfferJoin{"{}", true},
      WithdrawJoin{},
      ApplyManifest{"flannel", "kind: X"},
      NodeSettings{"m1", {{"a", "b"}}, {{"k", "v", "NoSchedule"}}},
      PodNetwork{"m1", "10.0.0.1", "10.244.0.0/16"},
      NodeReady{"m1", 7},
      WorkloadsReady{{"daemonset/kube-proxy"}, 9},
  };
  for (const auto& action : actions)
    stage.steps.push_back({.id = {std::string(kind_of(action))}, .what = "w", .why = "y", .action = action, .after = {{"folder"}}});
  plan.stages.push_back(stage);
  return plan;
}
}  // namespace

TEST_CASE("every kind of step survives the way to the agent") {
  const auto plan = a_plan();
  CHECK(plan.stages[0].steps.size() == std::variant_size_v<Action>);
  const auto back = decode_plan(encode_plan(plan));
  REQUIRE(back);
  CHECK(*back == plan);
}

TEST_CASE("a stage names each blob it needs once, in the order of use") {
  CHECK(blobs_of(a_plan().stages[0]) == std::vector<Digest>{digest('a'), digest('c'), digest('d'), digest('e')});
}

TEST_CASE("an apply request carries its secrets in the stream and nowhere else") {
  ApplyRequest request{.run = {"0123"}, .stage = {"s"}, .holder = "ops", .steps = {}, .values = {{"ca-spki", "sha256:x"}}, .secrets = {}};
  request.secrets.emplace("join-token", Secret(std::string("abc.def")));
  const auto back = decode_request(encode_request(request).reveal());
  REQUIRE(back);
  CHECK(back->secrets.at("join-token").reveal() == "abc.def");
  CHECK(back->values == request.values);
}

TEST_CASE("events and journal records come back as they were written") {
  Event event{.kind = Event::Kind::step_failed, .sequence = 3, .at_ms = 99, .step = {"unit:x"}};
  event.failure = {.message = "m", .command = "kubeadm init", .exit = "exit 1", .logs = {"kubelet: boom"}, .cause = "c", .hint = "h"};
  CHECK(decode_event(encode_event(event)) == event);
  const JournalRecord record{
      .sequence = 1, .at_ms = 2, .run = {"r"}, .step = {"file:/x"}, .kind = "write-file", .state = "intent", .undo = {{"before", ""}}};
  CHECK(decode_journal(encode_journal(record)) == record);
}

TEST_CASE("config, facts, reachability and the bundle index come back as they were written") {
  ClusterConfig config;
  config.machines = {{.id = {"a"}, .host = "a", .role = Role::master, .labels = {{"x", "y"}}, .taints = {{"k", "", "NoExecute"}}}};
  CHECK(decode_config(encode_config(config)) == config);

  HostFacts facts;
  facts.features["nft"] = {true, ""};
  facts.interfaces = {{.name = "eth0", .mtu = 1500, .addresses = {"10.0.0.1/24"}}};
  facts.kubernetes.state = "joined";
  CHECK(encode_facts(*decode_facts(encode_facts(facts))) == encode_facts(facts));

  const std::vector<Reach> reach = {{.from = {"a"}, .to = {"b"}, .tcp = true, .mtu = 1500}};
  CHECK(decode_reach(encode_reach(reach))->at(0).mtu == 1500);

  BundleIndex index;
  index.blobs[std::string(64, 'a')] = {.size = 3_GiB, .offset = 1ULL << 33, .chunks = {digest('b')}};
  index.components = {
      {.name = "k", .files = {{.path = "bin/kubelet", .digest = digest('a'), .stored = "zstd"}}, .images = {}, .manifests = {}}};
  CHECK(decode_bundle_index(encode_bundle_index(index)) == index);
}

TEST_CASE("text that is not one of our records is refused with the place in it") {
  CHECK(decode_facts("").error().kind == ErrorKind::input);
  CHECK(decode_facts("[]").error().message.contains("expected an object"));
  CHECK(
      decode_facts(R"({"schema":1,"cpu":{"cores":"many"}})").error().message.contains("cpu: cores: expected a whole number, found string"));
  CHECK(decode_facts(R"({"schema":2})").error().message.contains("schema 2"));
  CHECK(decode_facts(R"({})").error().message.contains("schema 0"));
  CHECK(decode_config(R"({"schema":1,"machines":[{"port":65536}]})").error().message.contains("machines: [0]: port"));
  CHECK(decode_plan(R"({"schema":1,"stages":[{"steps":[{"action":{"kind":"rm-rf"}}]}]})")
            .error()
            .message.contains("unknown kind of step \"rm-rf\""));
  CHECK_FALSE(decode_event(std::string("{\"event\":\"note\",\"text\":\"\xff\"}")));
  CHECK_FALSE(decode_event(std::string(100'000, '[')));
}

TEST_CASE("fields of a newer writer are passed over") {
  const auto event = decode_event(R"({"event":"note","seq":1,"text":"x","colour":"blue"})");
  REQUIRE(event);
  CHECK(event->text == "x");
}

TEST_CASE("a join token's entry comes back as it was written, and one that cannot be read is none") {
  const JoinToken token{.id = "abcdef",
                        .uses = 3,
                        .used = 2,
                        .admitted = {"node-csr-1", "node-csr-2"},
                        .labels = {{"rack", "b7"}},
                        .created_s = 1'800'000'000,
                        .expires_s = 1'800'000'900};
  const auto text = encode_join_token(token);
  CHECK(text.contains("2027-01-15T08:15:00Z"));
  CHECK_FALSE(text.contains("abcdef"));
  CHECK(decode_join_token("abcdef", text) == token);
  const auto all = decode_join_tokens(encode_join_tokens({.now_s = 5, .tokens = {token}}));
  REQUIRE(all);
  CHECK(all->tokens.front().used == 2);
  for (const auto* wrong :
       {"", "{}", "[]", R"({"expires":"tomorrow"})", R"({"expires":5})", R"({"expires":"2027-01-15T08:15:00Z","uses":-1})"}) {
    CAPTURE(wrong);
    CHECK_FALSE(decode_join_token("abcdef", wrong));
  }
  CHECK_FALSE(decode_join_token("ABCDEF", text));
  CHECK(is_join_token("abcdef.0123456789abcdef"));
  for (const auto* wrong :
       {"", "abcdef", "abcdef-0123456789abcdef", "abcde.f0123456789abcdef", "abcdef.0123456789abcde", "Abcdef.0123456789abcdef"})
    CHECK_FALSE(is_join_token(wrong));
}
