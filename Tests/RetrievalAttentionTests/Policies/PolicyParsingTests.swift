// Policies as text.

import AttentionPolicies
import RetrievalAttention
import Testing

@Suite struct PolicyParsingTests {
  @Test func namesAreTheFields() {
    #expect(
      PolicyRegistry.published.names == [
        "exact", "retrieval", "graph", "flat", "ivf", "streaming", "snapkv", "corm", "cascade", "infllm",
        "quest", "magicpig", "hip", "xattention", "pqcache", "retroinfer",
      ])
  }

  @Test(arguments: PolicyRegistry.published.names)
  func aNameIsItsDefaults(name: String) throws {
    let policy = try PolicyRegistry.published.parse(name)
    #expect(policy.name == name)
    #expect("\(policy)" == name)
    #expect(PolicyRegistry.published.policies.contains(policy))
    #expect(try PolicyRegistry.published.parse("retrieval") == .retrieval(RetrievalSettings()))
  }

  /// Every setting with its documented default is the default, and is refused when it is no value.
  @Test(arguments: PolicyRegistry.published.catalog)
  func everySettingIsWrittenAndRead(description: PolicyDescription) throws {
    #expect(!description.summary.isEmpty && !description.tradeOff.isEmpty)
    #expect((description.paper == nil) == (description.name == "exact"))
    for parameter in description.parameters {
      let same = try PolicyRegistry.published.parse(
        "\(description.name):\(parameter.name)=\(parameter.default)")
      #expect("\(same)" == description.name, "\(parameter.name)")
      #expect(throws: AttentionPolicyError.self) {
        try PolicyRegistry.published.parse("\(description.name):\(parameter.name)=nonsense")
      }
      #expect(!parameter.summary.isEmpty && !parameter.allowed.isEmpty)
    }
  }

  @Test func settingsAreTaken() throws {
    var settings = QuestSettings()
    settings.pageSize = 32
    settings.budget = 512
    settings.denseLayers = [0, 3]
    let policy = try PolicyRegistry.published.parse("quest:page=32,budget=512,dense=0+3")
    #expect(policy == .quest(settings))
    #expect("\(policy)" == "quest:page=32,budget=512,dense=0+3")
    #expect(try PolicyRegistry.published.parse("\(policy)") == policy)
    #expect(
      try PolicyRegistry.published.parse("snapkv:pool=mean")
        == .snapKV(with(SnapKVSettings()) { $0.pooling = .mean }))
    #expect(
      try PolicyRegistry.published.parse("pqcache:share=0.25")
        == .pqCache(with(PQCacheSettings()) { $0.share = 0.25 })
    )
    #expect(
      try PolicyRegistry.published.parse("graph:sharing=query-head")
        == .graph(with(GraphRetrievalSettings()) { $0.sharing = .queryHead }))
  }

  private func with<Value>(_ value: Value, _ change: (inout Value) -> Void) -> Value {
    var value = value
    change(&value)
    return value
  }

  @Test func mistakesAreNamed() {
    func message(_ text: String) -> String {
      do throws(AttentionPolicyError) {
        _ = try PolicyRegistry.published.parse(text)
        return "none"
      } catch {
        return "\(error)"
      }
    }
    #expect(message("quset").contains("'quset'") && message("quset").contains("quest, magicpig"))
    #expect(message("").contains("exact, retrieval"))
    #expect(message("quest:pages=3").contains("page, budget, dense"))
    #expect(message("quest:page=0").contains("'0'") && message("quest:page=0").contains("1...65536"))
    #expect(message("quest:page=1e9").contains("1...65536"))
    #expect(message("quest:page").contains("'page'") && message("quest:page").contains("key=value"))
    #expect(message("quest:").contains("key=value"))
    #expect(message("quest:page=4,page=5").contains("twice"))
    #expect(message("quest:dense=0+x").contains("none"))
    #expect(message("snapkv:pool=sum").contains("max|mean"))
    #expect(message("snapkv:kernel=4").contains("odd"))
    #expect(message("pqcache:share=nan").contains("0.0...1.0"))
    #expect(message("pqcache:share=1.5").contains("0.0...1.0"))
    #expect(message("cascade:budget=3").contains("number of buffers"))
    #expect(message("exact:budget=3").contains("no setting"))
    #expect(message("retrieval:tolerance=-1").contains("tolerance"))
  }

  @Test func settingsMadeInCodeAreChecked() throws {
    let shape = ModelShape(layers: [try layerShape()])
    for policy in [
      AttentionPolicy.quest(with(QuestSettings()) { $0.pageSize = 0 }),
      .snapKV(with(SnapKVSettings()) { $0.kernelSize = 4 }),
      .cascade(with(CascadeSettings()) { $0.budget = 1 }),
      .pqCache(with(PQCacheSettings()) { $0.partCount = 200 }),
      .retroInfer(with(RetroInferSettings()) { $0.retrievalShare = .nan }),
      .flat(with(FlatRetrievalSettings()) { $0.k = 0 }),
      .graph(with(GraphRetrievalSettings()) { $0.maxDegree = 5000 }),
    ] {
      #expect(throws: AttentionError.self, "\(policy)") {
        try AttentionEngine(shape: shape, policy: policy, capacity: 100)
      }
    }
  }

  @Test func listsAreSplitBetweenPolicies() {
    #expect(
      PolicyRegistry.splitList("exact,quest:page=16,budget=1024,flat,host")
        == ["exact", "quest:page=16,budget=1024", "flat", "host"])
    #expect(
      PolicyRegistry.splitList("quest:page=16,hip:k=3,block=4") == ["quest:page=16", "hip:k=3,block=4"])
    #expect(PolicyRegistry.splitList("page=3") == ["page=3"])
    #expect(PolicyRegistry.splitList("a,,b") == ["a", "", "b"])
    #expect(PolicyRegistry.splitList("") == [""])
  }
}
