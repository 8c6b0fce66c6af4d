// What every policy must do, whatever it chooses.

import AttentionKernels
import AttentionPolicies
import RetrievalAttention
import Testing

/// A policy with settings at which it reads everything, and with settings small enough to leave keys out of a few
/// hundred.
struct PolicyCase: CustomTestStringConvertible, Sendable {
  let everything: String
  let little: String
  var testDescription: String { little }

  init(_ everything: String, _ little: String) {
    self.everything = everything
    self.little = little
  }

  static let all = [
    PolicyCase("exact", "exact"),
    PolicyCase(
      "retrieval:tolerance=0,sink=8,window=32,minimum=0,maximum=100000",
      "retrieval:sink=8,window=32,minimum=0,insertion=32,cluster=16,tolerance=0.3"),
    PolicyCase("graph:k=1000,beam=1000,sink=8,window=32", "graph:k=20,beam=20,sink=8,window=32,degree=8"),
    PolicyCase("flat:k=1000,sink=8,window=32", "flat:k=20,sink=8,window=32"),
    PolicyCase("ivf:probes=1000,sink=8,window=32", "ivf:probes=2,list=16,sink=8,window=32"),
    PolicyCase("streaming:window=1000", "streaming:window=50"),
    PolicyCase("snapkv:budget=1000", "snapkv:budget=60,window=16,kernel=3"),
    PolicyCase("corm:recent=1000", "corm:recent=20,window=4"),
    PolicyCase("cascade:budget=4000", "cascade:budget=48,sink=4,stride=32"),
    PolicyCase(
      "infllm:blocks=1000,window=32,block=16", "infllm:blocks=3,window=32,block=16,sink=8,representatives=2"),
    PolicyCase("quest:budget=1000,dense=none", "quest:page=8,budget=32,dense=none"),
    // Two projections and many tables: two buckets shared are as good as certain.
    PolicyCase(
      "magicpig:bits=1,tables=4000,dense=none", "magicpig:bits=4,tables=20,sink=8,window=32,dense=none"),
    PolicyCase("hip:k=1000,dense=none", "hip:k=32,sink=8,window=32,refresh=3,dense=none"),
    // Decoding is exact; three blocks are more than the context.
    PolicyCase("xattention:block=4096", "xattention:block=16,stride=4,threshold=0.5"),
    PolicyCase("pqcache:share=1,sink=8,window=32", "pqcache:share=0.1,bits=4,sink=8,window=32"),
    PolicyCase("retroinfer:retrieval=1", "retroinfer:insertion=32,retrieval=0.05"),
  ]

  /// Two that choose keys for prompts as well.
  static let choosingForPrompts = [
    PolicyCase("hip:k=1000,dense=none", "hip:k=32,sink=8,window=32,refresh=3,dense=none,prefill=true"),
    PolicyCase("cascade:budget=4000", "cascade:budget=48,sink=4,stride=32,prefill=true"),
  ]

  /// Those that read prompts exactly.
  static let readingExactly = all.filter { !$0.little.hasPrefix("xattention") }

  var decodesExactly: Bool { little == "exact" || little.hasPrefix("xattention") }
}

@Suite struct PolicyContractTests {
  private func data(_ seed: UInt64 = 3) throws -> PolicyInput {
    PolicyInput(try layerShape(heads: 6, kvHeads: 2, dimension: 16), tokens: 700, seed: seed)
  }

  @Test func everyPolicyIsTested() {
    let tested = PolicyCase.all.map { $0.little.split(separator: ":")[0] }
    #expect(tested.map(String.init) == PolicyRegistry.published.names)
  }

  @Test(arguments: PolicyCase.all, [RowFormat.float16, .int8])
  func readingEverythingIsExact(policy: PolicyCase, format: RowFormat) throws {
    let data = try data()
    let format = KeyValueFormat(keys: format, values: format)
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.everything), data, format: format)
    try run.prompt(0..<600)
    let output = try run.decode(600..<640)
    let input = data.input.stored(as: format)
    #expect(input.largestError(output, firstToken: 600, tokens: 600..<640) < 4 * Tolerance.exact)
  }

  @Test(arguments: PolicyCase.readingExactly)
  func promptsAreExact(policy: PolicyCase) throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try run.prompt(0..<400)
    _ = try run.decode(400..<450)
    let output = try run.engine.attend(data.input, 450..<600)
    #expect(data.input.largestError(output, firstToken: 450, tokens: 450..<600) < Tolerance.exact)
  }

  @Test(arguments: PolicyCase.all, [RowFormat.float16, .int8])
  func littleIsReadAndCounted(policy: PolicyCase, format: RowFormat) throws {
    let format = KeyValueFormat(keys: format, values: format)
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), try data(), format: format)
    try run.prompt(0..<600)
    _ = try run.decode(600..<630)
    let reads = run.engine.statistics
    #expect(reads.steps == 30)
    #expect(reads.visibleKeys == 2 * (601...630).reduce(0, +))
    #expect(reads.retrievedKeys + reads.staticKeys <= reads.visibleKeys)
    #expect(
      Double(reads.bytes)
        >= Double((reads.retrievedKeys + reads.staticKeys) * format.bytesPerRow(dimension: 16)))
    if !policy.decodesExactly {
      #expect(reads.retrievedKeys + reads.staticKeys < reads.visibleKeys)
    }
  }

  /// Going back to the end of the prompt and on again gives the same bits, also with several workers.
  @Test(arguments: PolicyCase.all + PolicyCase.choosingForPrompts)
  func goingBackRepeats(policy: PolicyCase) throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try run.prompt(0..<600)
    let first = try run.decode(600..<620)
    try run.engine.truncate(to: 600)
    let exact = try run.decode(600..<610, options: .exact)
    #expect(data.input.largestError(exact, firstToken: 600, tokens: 600..<610) < Tolerance.exact)
    try run.engine.truncate(to: 600)
    #expect(try run.decode(600..<620) == first)
    let threaded = try PolicyRun(PolicyRegistry.published.parse(policy.little), data, parallel: .threads(3))
    try threaded.prompt(0..<600)
    #expect(try threaded.decode(600..<620) == first)
  }

  /// A policy that reads along with exact attention keeps and answers what it would if it had read by itself, bit for
  /// bit; so does a second prompt, also after the first answer was taken back.
  @Test(arguments: PolicyCase.readingExactly, [1, 3])
  func readingAlongIsLikeReading(policy: PolicyCase, workers: Int) throws {
    let data = try data()
    let parallel = workers == 1 ? ParallelRunner.serial : .threads(workers)
    let alone = try PolicyRun(PolicyRegistry.published.parse(policy.little), data, parallel: parallel)
    let reader = try PolicyRun(.exact, data, parallel: parallel)
    let along = try PolicyRun(PolicyRegistry.published.parse(policy.little), data, parallel: parallel)
    let other = try PolicyRun(
      PolicyRegistry.published.parse("snapkv:budget=40,window=8"), data, parallel: parallel)
    func read(_ range: Range<Int>) throws {
      try alone.prompt(range)
      try reader.prompt(range, with: [along, other])
    }
    try read(0..<600)
    #expect(along.engine.tokenCount == 600 && other.engine.tokenCount == 600)
    #expect(along.engine.indexByteCount == alone.engine.indexByteCount)
    #expect(try along.decode(600..<610) == alone.decode(600..<610))
    for run in [alone, along] { try run.engine.truncate(to: 600) }
    try read(600..<620)
    #expect(try along.decode(620..<630) == alone.decode(620..<630))
    #expect(along.engine.statistics == alone.engine.statistics)
    // The reader itself is none the worse, and who read along decodes by itself.
    #expect(reader.engine.tokenCount == 620)
  }

  @Test func readersThatDoNotAgreeReadNothing() throws {
    let data = try data()
    let reader = try PolicyRun(.exact, data)
    let behind = try PolicyRun(PolicyRegistry.published.parse("quest:page=8,budget=32"), data)
    try reader.prompt(0..<100)
    #expect(throws: AttentionError.unexpectedPosition(layer: 0, expected: 0, actual: 100)) {
      try reader.prompt(100..<200, with: [behind])
    }
    #expect(reader.engine.tokenCount == 100 && behind.engine.tokenCount == 0)
  }

  /// A second prompt is read, answered and taken back, as when many questions are asked of one document.
  @Test(arguments: PolicyCase.all + PolicyCase.choosingForPrompts)
  func questionsCanBeTakenBack(policy: PolicyCase) throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try run.prompt(0..<600)
    var answers: [[Float]] = []
    for _ in 0..<2 {
      try run.prompt(600..<620)
      answers.append(try run.decode(620..<630))
      try run.engine.truncate(to: 600)
    }
    #expect(answers[0] == answers[1])
    let fresh = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try fresh.prompt(0..<600)
    try fresh.prompt(600..<620)
    #expect(try fresh.decode(620..<630) == answers[0])
  }

  /// The last token, or batch, can always be taken back: that is how a cancelled step ends.
  @Test(arguments: PolicyCase.all + PolicyCase.choosingForPrompts)
  func theLastStepCanBeTakenBack(policy: PolicyCase) throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try run.prompt(0..<300)
    // A batch of a prompt that is not finished.
    _ = try run.engine.attend(data.input, 300..<400)
    try run.engine.truncate(to: 300)
    try run.prompt(300..<600)
    _ = try run.decode(600..<605)
    let once = try run.engine.attend(data.input, 605..<606)
    try run.engine.truncate(to: 605)
    #expect(try run.engine.attend(data.input, 605..<606) == once)
    let fresh = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    try fresh.prompt(0..<300)
    try fresh.prompt(300..<600)
    _ = try fresh.decode(600..<605)
    #expect(try fresh.engine.attend(data.input, 605..<606) == once)
  }

  @Test(arguments: PolicyCase.all + PolicyCase.choosingForPrompts)
  func shortContextsWork(policy: PolicyCase) throws {
    let data = try data()
    for tokens in [1, 2, 9, 40] {
      let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
      try run.prompt(0..<tokens)
      let output = try run.decode(tokens..<tokens + 3)
      #expect(!output.contains { !$0.isFinite })
      // Rows that an index has taken stay in it.
      if run.engine.head(layer: 0, kvHead: 0) is RetrievalHead, run.engine.indexedTokenCount > 0 { continue }
      try run.engine.truncate(to: 0)
      let again = try run.decode(0..<2)
      #expect(!again.contains { !$0.isFinite })
    }
  }

  /// Without a prompt there is only what is generated.
  @Test(arguments: PolicyCase.all + PolicyCase.choosingForPrompts)
  func generationWithoutAPromptWorks(policy: PolicyCase) throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse(policy.little), data)
    let output = try run.decode(0..<300)
    #expect(!output.contains { !$0.isFinite })
    #expect(run.engine.tokenCount == 300)
  }

  @Test func denseLayersAreExact() throws {
    let data = try data()
    let run = try PolicyRun(PolicyRegistry.published.parse("streaming:window=20,dense=0+7"), data)
    try run.prompt(0..<300)
    let output = try run.decode(300..<303)
    #expect(data.input.largestError(output, firstToken: 300, tokens: 300..<303) < Tolerance.exact)
    #expect(run.engine.statistics.keysRead == 1)
  }

  @Test func evictingPoliciesTellWhereTheyCanGoBackTo() throws {
    for name in ["corm:recent=20,window=4", "cascade:budget=48,sink=4"] {
      let run = try PolicyRun(PolicyRegistry.published.parse(name), try data())
      try run.prompt(0..<300)
      _ = try run.decode(300..<320)
      #expect(throws: AttentionError.cannotRestore(to: 310, known: [300, 319])) {
        try run.engine.truncate(to: 310)
      }
      #expect(run.engine.tokenCount == 320)
      try run.engine.truncate(to: 300)
      _ = try run.decode(300..<301)
    }
    let error = AttentionError.cannotRestore(to: 310, known: [300, 319])
    #expect("\(error)".contains("310") && "\(error)".contains("300, 319"))
  }
}
