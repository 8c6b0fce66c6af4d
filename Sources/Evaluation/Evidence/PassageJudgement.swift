// Whether a model can tell what answers a question, found by passages of which it is known.

package import Generation

/// From which odds on a model's yes is one, when it is asked whether a passage answers a question.
package struct PassageJudgement {
  /// As ``EvidenceProfile/leastOdds``.
  package let leastOdds: Double?
  /// Shares of the passages that answer, and of those that do not, that the model takes for answers at these odds.
  package let foundRight: Double
  package let foundWrong: Double

  /// Share of the passages that do not answer that may pass.
  private static let passed = 0.05
  /// Share of those that do that may fail.
  private static let missed = 0.1
  /// Where the bound lies between the odds of these, nearer to the wrong ones: texts of people are less plain than
  /// those that it is learned from.
  private static let place = 0.25
  private static let questions = 40

  /// Asks about facts of one sentence, with themselves and with others of the same kind.
  ///
  /// - Parameter onProgress: told passages asked about, of how many.
  /// - Throws: what runners throw.
  package init(host: GuestHost, onProgress: (_ done: Int, _ total: Int) -> Void) throws {
    let judge = try PassageJudge(host: host, leastOdds: 0)
    var random = TaskRandom(seed: 1, task: "passages", length: 0, sample: 0)
    var (right, wrong): ([Double], [Double]) = ([], [])
    for (fact, other) in HiddenFacts.pairs(Self.questions, random: &random) {
      onProgress(right.count + wrong.count, 2 * Self.questions)
      right.append(try judge.odds(that: "text:\n\(fact.answer)", answers: fact.question))
      wrong.append(try judge.odds(that: "text:\n\(other.answer)", answers: fact.question))
    }
    self.init(right: right, wrong: wrong)
  }

  /// - Parameters:
  ///   - right: log-odds of yes of passages that answer.
  ///   - wrong: of those that do not.
  init(right: [Double], wrong: [Double]) {
    let highestWrong = wrong.sorted(by: >).dropFirst(Int(Self.passed * Double(wrong.count))).first ?? 0
    let lowestRight = right.sorted().dropFirst(Int(Self.missed * Double(right.count))).first ?? 0
    let least = highestWrong + Self.place * max(0, lowestRight - highestWrong)
    foundRight = Double(right.count { $0 > least }) / Double(max(1, right.count))
    foundWrong = Double(wrong.count { $0 > least }) / Double(max(1, wrong.count))
    leastOdds = lowestRight > highestWrong ? least : nil
  }
}
