// Going back in a session, to read another version of its documents.

import RetrievalAttention

extension Session {
  /// Keeps what the session has in common with the beginning of `tokens`, and drops the rest, with what was still to be
  /// read. The last of the tokens is never kept. What follows is to be read by
  /// ``ingest(_:documents:checkpointInterval:progress:)``; the session on the disk stays as it is until then.
  ///
  /// The documents are still those of before: set ``documents``.
  ///
  /// - Returns: how many tokens were kept.
  /// - Throws: ``SessionError/readOnly(path:)``; as ``GuestRunner/keepPrefix(of:)`` does, and nothing has changed then.
  public func keepPrefix(of tokens: [Int32]) throws -> Int {
    guard access == .write else { throw SessionError.readOnly(path: directory) }
    let kept = tokenCount == 0 ? 0 : try runner.keepPrefix(of: tokens)
    pendingTokens = []
    return kept
  }
}
