// What `ra doctor --thorough` compares, on tiny models of several kinds of attention.

import Evaluation
import LlamaHost
import TestSupport
import Testing

@Suite struct ModelCheckTests {
  private static let kinds: [(String, TinyModel)] = [
    ("plain", .llama(context: 4096)), ("sinks", .attending(.sinks)), ("latent", .attending(.latent)),
    ("narrow values", .attending(.narrowValues)), ("hybrid", .jamba(context: 4096)),
  ]

  /// 1,800 tokens are enough for an index between sink and window.
  @Test(arguments: 0..<kinds.count)
  func allHolds(kind: Int) throws {
    let (name, tiny) = Self.kinds[kind]
    let folder = try ScratchDirectory()
    let model = try LlamaModel.load(path: folder.write(tiny.build()))
    var generator = SplitMix(state: 7)
    let tokens = (0..<1800).map { _ in Int32(3 + generator.next() % 256) }
    var last = 0
    let check = try ModelCheck(checking: model, pool: ThreadPool(threadCount: 1, poll: 0), tokens: tokens) {
      done, total in
      #expect(last <= done && done <= total)
      last = done
    }
    #expect(check.tokenCount == 1792)
    #expect(last == 5 * check.tokenCount)
    #expect(check.passed, "\(name): \(check)")
    #expect(check.isReopenedEqual && check.isForkEqual)
    #expect(check.wholeRetrievalDivergence <= max(3 * check.hostDivergence, 1e-5), "\(name): \(check)")
  }

  @Test func retrievalThatReadsAllKeysIsJudged() throws {
    let folder = try ScratchDirectory()
    let model = try LlamaModel.load(path: folder.write(TinyModel.llama(context: 4096).build()))
    let tokens = (0..<64).map { Int32(3 + $0) }
    var check = try ModelCheck(checking: model, pool: ThreadPool(threadCount: 1, poll: 0), tokens: tokens)
    #expect(check.passed)
    check.retrievalDivergence = 1
    #expect(check.passed)
    check.wholeRetrievalDivergence = 1
    #expect(!check.passed)
  }
}
