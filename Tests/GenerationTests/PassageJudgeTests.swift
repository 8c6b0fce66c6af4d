// Which passages a model is asked about.

import AttentionKernels
import Generation
import LlamaHost
import TestSupport
import Testing

@Suite struct PassageJudgeTests {
  private static let question = "What is the number for Oslo?"

  private static func host() throws -> GuestHost {
    try GuestHost(model: TestModel.load(), pool: ThreadPool(threadCount: 1))
  }

  @Test(arguments: [(odds: -1e3, answers: true), (1e3, false)])
  func oddsDecide(odds: Double, answers: Bool) throws {
    let judge = try PassageJudge(host: Self.host(), leastOdds: odds)
    #expect(try judge.says(that: "The number for Oslo is 12.", answers: Self.question) == answers)
  }

  @Test func manyPassagesAreNotRead() throws {
    let judge = try PassageJudge(host: Self.host(), leastOdds: 1e3)
    let passages = String(repeating: "The number for Oslo is 12. ", count: 150)
    #expect(try judge.says(that: passages, answers: Self.question) == nil)
  }
}
