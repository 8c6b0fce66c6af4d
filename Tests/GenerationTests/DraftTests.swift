// Drafts: what is proposed, what is worth it, and that answers are those of one token at a time.

import AttentionPolicies
import Foundation
import LlamaHost
import RetrievalAttention
import Testing

@testable import Generation

@Suite struct TextMatchesTests {
  @Test(arguments: 0..<20 as Range<UInt64>) func longestMatchesAreFound(seed: UInt64) throws {
    var generator = SplitMix(state: seed)
    // Few different tokens, so that everything repeats.
    let tokens = (0..<400).map { _ in Int32(generator.next() % 3) }
    var matches = TextMatches(bits: 8)
    for end in 1...tokens.count {
      matches.append(CollectionOfOne(tokens[end - 1]))
      func length(_ place: Int) -> Int {
        var length = 0
        while length < min(place, TextMatches.longest), tokens[place - 1 - length] == tokens[end - 1 - length]
        {
          length += 1
        }
        return length
      }
      guard let match = matches.match() else {
        #expect(end <= TextMatches.shortest || (1..<end).allSatisfy { length($0) < TextMatches.shortest })
        continue
      }
      #expect(match.length == length(match.next))
      // Of as many places as are looked at, none is better.
      let places = (1..<end).reversed().filter { length($0) >= TextMatches.shortest }.prefix(20)
      #expect(match.length >= places.map(length).max() ?? 0)
      let proposed = TextCopy(match).continuation(in: matches.tokens, count: 5)
      #expect(proposed.count == 5)
      #expect(proposed[0] == tokens[match.next])
    }
  }

  @Test func whatReachesTheEndGoesOnAsItBegan() throws {
    var matches = TextMatches()
    matches.append([9, 8, 1, 2, 3, 1, 2, 3] as [Int32])
    let match = try #require(matches.match())
    #expect(match == TextMatches.Match(next: 5, length: 3))
    #expect(TextCopy(match).continuation(in: matches.tokens, count: 7) == [1, 2, 3, 1, 2, 3, 1])
  }

  /// Steps that an answer takes behind a text.
  private func steps(_ text: [Int32], _ answer: [Int32]) -> (steps: Int, accepted: Int) {
    let drafter = TextDrafter()
    var (done, steps, accepted) = (0, 0, 0)
    while done < answer.count {
      let drafts = drafter.propose(context: text + answer[..<done], token: answer[done], most: 7)
      let right = zip(drafts, answer[(done + 1)...]).prefix { $0 == $1 }.count
      drafter.note(right: right, wasWrong: right < drafts.count && done + 1 + right < answer.count)
      done += 1 + right
      steps += 1
      accepted += right
    }
    return (steps, accepted)
  }

  @Test func copiesGoOnBehindWhatTheyChange() {
    var generator = SplitMix(state: 1)
    // Every twelfth token or so is a name.
    let text = (0..<160).map { _ in
      let token = Int32(generator.next() % 600)
      return token < 50 ? 1000 : token
    }
    let part = Array(text[20..<120])
    let renamed = part.map { $0 == 1000 ? 2000 : $0 }
    #expect(part.count { $0 == 1000 } > 4)
    let (plain, changed) = (steps(text, part), steps(text, renamed))
    #expect(plain.steps < 30)
    // The first one ends a copy that has hardly begun.
    #expect(changed.steps <= plain.steps + 6, "\(changed) \(plain)")
    // A text that parts from the first one for good.
    let other = part[..<30] + (0..<60).map { Int32(3000 + $0) }
    let parted = steps(text, Array(other))
    #expect(parted.steps > 60)
  }

  @Test func aChangeIsTakenBackWhereTheTextIsRight() throws {
    let text = (0..<40).map { Int32($0 % 20) }
    var copy = TextCopy(TextMatches.Match(next: 0, length: 16))
    func follow(_ tokens: [Int32]) -> Bool {
      for token in tokens where !copy.follow(token, in: text) { return false }
      return true
    }
    #expect(follow([0, 1, 99]))
    #expect(copy.wasChanged)
    #expect(copy.length == 9)
    #expect(copy.continuation(in: text, count: 20).last == 99)
    #expect(follow((3..<22).map { Int32($0 % 20) }))
    #expect(!copy.wasChanged)
    #expect(copy.continuation(in: text, count: 1) == [99])
    #expect(follow([2]))
    #expect(copy.continuation(in: text, count: 18).allSatisfy { $0 != 99 })
    // A second change in a row, and a third.
    copy = TextCopy(TextMatches.Match(next: 0, length: 17))
    #expect(follow([50, 51]))
    #expect(!follow([52]))
  }

  @Test func exactAttentionChecksDraftsWhereThatIsFaster() {
    var pace = DraftPace()
    var (now, tokens) = (ContinuousClock.now, 100)
    func step(_ way: DraftPace.Way, _ milliseconds: Int, tokens count: Int) {
      pace.beginStep(way, tokens: tokens, at: now)
      now += .milliseconds(milliseconds)
      tokens += count
      pace.endStep(tokens: tokens, at: now)
    }
    #expect(!pace.isWorthIt(.lookingAhead) && pace.isWorthIt(.text))
    step(.text, 80, tokens: 8)
    #expect(!pace.isWorthIt(.lookingAhead) && pace.isWorthIt(.text))
    step(.alone, 100, tokens: 1)
    #expect(pace.isWorthIt(.lookingAhead) && pace.isWorthIt(.text))
    step(.lookingAhead, 400, tokens: 8)
    #expect(pace.isWorthIt(.lookingAhead))
    for _ in 0..<4 { step(.lookingAhead, 400, tokens: 2) }
    for _ in 0..<4 { step(.text, 300, tokens: 1) }
    #expect(!pace.isWorthIt(.lookingAhead) && !pace.isWorthIt(.text))
    // Now and then both are tried again.
    for _ in 0..<15 { step(.alone, 100, tokens: 1) }
    #expect(!pace.isWorthIt(.text))
    step(.alone, 100, tokens: 1)
    #expect(pace.isWorthIt(.text) && !pace.isWorthIt(.lookingAhead))
    for _ in 0..<44 { step(.alone, 100, tokens: 1) }
    #expect(pace.isWorthIt(.lookingAhead))
    step(.lookingAhead, 400, tokens: 2)
    #expect(!pace.isWorthIt(.lookingAhead))
  }

  @Test func unlikelyDraftsAreNotMade() {
    var acceptance = DraftAcceptance(expected: [0.5, 0.9], costOfDraft: 0.2)
    #expect(acceptance.length(1, most: 15) > acceptance.length(0, most: 15))
    #expect(acceptance.length(1, most: 3) == 3)
    for _ in 0..<40 { acceptance.note(0, right: 0, wasWrong: true) }
    #expect(acceptance.length(0, most: 15) == 0)
    for _ in 0..<40 { acceptance.note(0, right: 5, wasWrong: false) }
    #expect(acceptance.length(0, most: 15) == 15)
  }
}

extension GenerationTests {
  @Suite struct DraftTests {
    let model: LlamaModel
    let pool: ThreadPool
    /// A text with something to repeat, in more tokens than a window has.
    let prompt: [Int32]

    init() throws {
      model = try TestModel.load()
      pool = try ThreadPool(threadCount: 2, poll: 0)
      let text = try TestText.read("alice.txt", characters: 3200)
      prompt = try Prompt(
        documents: [text], question: "Repeat the first sentences of the text.", model: model, raw: false
      ).tokens
    }

    /// With an index of the prompt.
    private static var indexed: RetrievalSettings {
      var settings = RetrievalSettings()
      settings.minimumIndexedCount = 256
      return settings
    }

    private func runner(_ policy: AttentionPolicy) throws -> GuestRunner {
      try GuestRunner(model: model, pool: pool, policy: policy, plannedTokens: 4096)
    }

    private func generate(
      _ runner: any SequenceRunner, _ drafting: Drafting, settings: SamplerSettings = .greedy,
      tokens: Int = 64
    ) throws -> TextGenerator.Result {
      try TextGenerator(runner: runner, drafting: drafting).generate(
        prompt: prompt, maximumTokens: tokens, sampler: Sampler(settings: settings, model: model)
      ) { _ in }
    }

    /// Proposes tokens that are known to be right, but for every so-many-th.
    private final class Oracle: Drafter {
      let answer: [Int32]
      let promptCount: Int
      let wrong: Int
      private(set) var noted = (right: 0, wrong: 0)

      init(_ answer: [Int32], after promptCount: Int, wrong: Int) {
        (self.answer, self.promptCount, self.wrong) = (answer, promptCount, wrong)
      }

      func propose(context: [Int32], token: Int32, most: Int) -> [Int32] {
        let done = context.count + 1 - promptCount
        return answer.indices.dropFirst(done).prefix(most).map {
          $0 % wrong == wrong - 1 ? answer[$0] ^ 1 : answer[$0]
        }
      }

      func note(right: Int, wasWrong: Bool) {
        noted.right += right
        noted.wrong += wasWrong ? 1 : 0
      }
    }

    /// Reads an answer with drafts of which some are wrong.
    private func follow(
      _ answer: [Int32], _ runner: any SequenceRunner, wrong: Int
    ) throws -> (rows: [[Float]], statistics: DraftStatistics, oracle: Oracle) {
      if runner.tokenCount == 0 { _ = try runner.prefill(prompt, progress: nil) }
      let oracle = Oracle(answer, after: prompt.count, wrong: wrong)
      let reader = DraftReader(runner, drafter: oracle)
      let rows = try answer.enumerated().map {
        Array(try reader.read($1, followedBy: answer.count - $0 - 1))
      }
      try reader.finish()
      #expect(runner.tokens == prompt + answer)
      return (rows, reader.statistics, oracle)
    }

    @Test(arguments: [AttentionPolicy.exact, .retrieval(Self.indexed)])
    func logitsAreThoseOfSingleTokens(policy: AttentionPolicy) throws {
      let answer = try generate(runner(policy), .none, tokens: 48).tokens
      let single = try runner(policy)
      let expected = try single.logits(context: prompt, following: answer[...]).dropFirst()
      let next = Array(try single.decode(100).last)
      let reader = try runner(policy)
      _ = try reader.prefill(prompt, progress: nil)
      for wrong in [3, 100] {
        let drafted = try reader.fork()
        let (rows, statistics, oracle) = try follow(answer, drafted, wrong: wrong)
        #expect(meanDivergence(Array(expected), rows) < Tolerance.sameAttention)
        #expect(statistics.steps < answer.count / 2)
        #expect(statistics.accepted == oracle.noted.right)
        #expect((oracle.noted.wrong > 0) == (wrong < 48))
        // What follows is as if there had been no drafts.
        #expect(meanDivergence([next], [Array(try drafted.decode(100).last)]) < Tolerance.sameAttention)
      }
    }

    @Test func theHostTakesDraftsToo() throws {
      let runner = try HostRunner(
        model: model, pool: pool, contextLength: 4096, outputCapacity: AttentionEngine.maximumDrafts + 1)
      let answer = try generate(runner, .none, tokens: 32).tokens
      try runner.truncate(to: 0)
      let (_, statistics, _) = try follow(answer, runner, wrong: 5)
      #expect(statistics.accepted > 0)
    }

    /// Sums are rounded otherwise in a batch: answers may part where two tokens are all but equally likely.
    private func expectSame(_ found: [Int32], _ expected: [Int32]) throws {
      var gap: Float = 0
      let common = zip(found, expected).prefix { $0 == $1 }.count
      if found != expected {
        try #require(common < min(found.count, expected.count), "one answer ends where the other goes on")
        let row = try runner(.exact).logits(context: prompt + expected[..<common], following: [])[0]
        gap = abs(row[Int(found[common])] - row[Int(expected[common])])
      }
      #expect(gap < 0.3, "token \(common)")
    }

    @Test func answersAreThoseOfSingleTokens() throws {
      let plain = try generate(runner(.exact), .none)
      let drafted = try generate(runner(.exact), .text)
      try expectSame(drafted.tokens, plain.tokens)
      #expect(plain.statistics.drafts.proposed == 0)
      #expect(drafted.statistics.drafts.accepted > 0)
    }

    @Test func chosenAtRandomTheyAreTheSameInEachRun() throws {
      let settings = try SamplerSettings(temperature: 0.8, seed: 7)
      let answers = try (0..<2).map { _ in
        try generate(runner(.exact), .text, settings: settings, tokens: 32).tokens
      }
      #expect(answers[0] == answers[1])
    }

    @Test func exactAnswersAreForeseenByRetrieval() throws {
      let policy = AttentionPolicy.retrieval(Self.indexed)
      let exact = try generate(runner(.exact), .none)
      let lossless = try runner(policy)
      let found = try generate(lossless, Drafting(.none, isExact: true))
      try expectSame(found.tokens, exact.tokens)
      #expect(lossless.tokens == prompt + found.tokens.dropLast())
      #expect(!lossless.isLossless)
      // Whether that is faster is not asked here.
      let looking = try runner(policy)
      _ = try looking.prefill(prompt, progress: nil)
      let foreseen = try looking.lookAhead(from: exact.tokens[0], count: 6) {
        LogitComparison.best($0).map(Int32.init)
      }
      #expect(foreseen.count == 6)
      #expect(zip(foreseen, exact.tokens.dropFirst()).prefix { $0 == $1 }.count >= 3)
      #expect(looking.tokens == prompt)
    }

    /// All tokens go through the look ahead and the exact pass behind it, with an index.
    @Test func whatRetrievalForeseesIsCheckedExactly() throws {
      let exact = try generate(runner(.exact), .none)
      let lossless = try runner(.retrieval(Self.indexed))
      lossless.isLossless = true
      let sampler = try Sampler(settings: .greedy, model: model)
      let reader = DraftReader(
        lossless, drafter: LookAheadDrafter(lossless, sampler: sampler, text: nil, pace: nil))
      var token = try sampler.sample(logits: lossless.prefill(prompt, progress: nil).last)
      #expect(lossless.engine.indexedTokenCount > 0)
      var answer = [token]
      while answer.count < exact.tokens.count {
        token = try sampler.sample(
          logits: reader.read(token, followedBy: exact.tokens.count - answer.count - 1))
        answer.append(token)
      }
      try reader.finish()
      try expectSame(answer, exact.tokens)
      #expect(reader.statistics.accepted > answer.count / 2)
      #expect(lossless.tokens == prompt + answer.dropLast())
    }

    @Test func wrongCountsOfDraftsAreRefused() throws {
      let runner = try runner(.exact)
      _ = try runner.prefill(prompt, progress: nil)
      let many = [Int32](repeating: 1, count: AttentionEngine.maximumDrafts + 1)
      #expect(throws: GenerationError.self) { try runner.decode(1, drafts: many) }
      #expect(throws: GenerationError.self) { try runner.keepDrafts(1) }
      _ = try runner.decode(1, drafts: [2, 3])
      #expect(throws: GenerationError.self) { try runner.keepDrafts(3) }
      #expect(throws: GenerationError.self) { try runner.keepDrafts(-1) }
      let streaming = try self.runner(.streaming(StreamingSettings()))
      _ = try streaming.prefill(prompt, progress: nil)
      #expect(throws: GenerationError.self) { try streaming.decode(1, drafts: [2]) }
      // Nor does the engine take what heads would answer wrongly.
      let batches = BatchRunner(host: streaming.host)
      #expect(throws: BatchRunner.ItemFailure.self) {
        try batches.evaluate([.init(context: streaming.context, token: 1, drafts: [2])])
      }
      #expect(streaming.tokens == prompt)
    }

    @Test func aModelForeseesItself() throws {
      let runner = try runner(.exact)
      let draft = try DraftModel(self.runner(.exact), for: model)
      let plain = try generate(self.runner(.exact), .none, tokens: 32)
      // It is as dear as what it saves, so it drafts only while it expects to be right.
      let drafter = ModelDrafter(draft, sampler: try Sampler(settings: .greedy, model: model))
      _ = try runner.prefill(prompt, progress: nil)
      let drafts = try drafter.drafts(context: runner.tokens, token: plain.tokens[0], count: 5)
      #expect(drafts == Array(plain.tokens[1...5]))
    }

    @Test func policiesThatTakeNoDraftsGoOnWithoutThem() throws {
      let streaming = try runner(.streaming(StreamingSettings()))
      #expect(streaming.draftCapacity == 0)
      #expect(try generate(streaming, .text, tokens: 16).statistics.drafts.proposed == 0)
    }

    @Test func otherVocabulariesAreRefused() throws {
      let scratch = try ScratchDirectory()
      let other = try LlamaModel.load(path: scratch.write(TinyModel.llama(context: 256).build()))
      let runner = try GuestRunner(model: other, pool: pool, policy: .exact, plannedTokens: 64)
      #expect(throws: GenerationError.self) { try DraftModel(runner, for: model) }
    }
  }
}
