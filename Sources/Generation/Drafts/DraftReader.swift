// Tokens that are read one by one, several of them in one evaluation where drafts turn out right.

package import LlamaHost

/// Reads the tokens of an answer. Where a draft of the token was checked already, its logits are there.
///
/// Logits are the model's, given the tokens before: whoever chooses tokens from them chooses as without drafts, with as
/// many random numbers. So the distribution of answers is the same; the sums of a batch may be rounded otherwise than
/// those of single tokens.
package final class DraftReader {
  private let runner: any SequenceRunner
  private let drafter: (any Drafter)?
  private var drafts: [Int32] = []
  private var logits: Logits?
  /// Drafts that were right so far.
  private var right = 0
  package private(set) var statistics = DraftStatistics()

  /// - Parameter drafter: nil for one token at a time.
  package init(_ runner: any SequenceRunner, drafter: (any Drafter)? = nil) {
    self.runner = runner
    self.drafter = drafter
  }

  /// Reads a token.
  ///
  /// - Parameter most: tokens that may follow it.
  /// - Returns: the logits after it, valid until the next call.
  /// - Throws: what the runner throws; the token was not read then.
  package func read(_ token: Int32, followedBy most: Int) throws -> LogitRow {
    if right < drafts.count, drafts[right] == token, let logits {
      right += 1
      statistics.accepted += 1
      return logits[right]
    }
    try settle(wasWrong: true)
    let capacity = min(most, runner.draftCapacity)
    let proposed =
      capacity > 0 ? try drafter?.propose(context: runner.tokens, token: token, most: capacity) : nil
    let new = Array((proposed ?? []).prefix(capacity))
    let read = try new.isEmpty ? runner.decode(token) : runner.decode(token, drafts: new)
    (drafts, logits, right) = (new, read, 0)
    statistics.steps += 1
    statistics.proposed += new.count
    return read[0]
  }

  /// Ends the reading: drafts that did not become part of the text go.
  package func finish() throws { try settle(wasWrong: false) }

  /// The same after an error, which is told already.
  package func abandon() { try? settle(wasWrong: false) }

  private func settle(wasWrong: Bool) throws {
    guard !drafts.isEmpty else { return }
    let count = drafts.count
    drafts = []
    logits = nil
    drafter?.note(right: right, wasWrong: wasWrong && right < count)
    try runner.keepDrafts(right)
  }
}
