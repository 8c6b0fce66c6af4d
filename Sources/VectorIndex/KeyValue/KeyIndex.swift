// What a store of rows needs of the index over them, besides attention.

/// An index that can be saved, searched for the best keys, and emptied to be built anew.
package protocol KeyIndex: StoredIndex {
  /// Rows among which the `count` of highest inner product with a query most likely are, each once, in no order: more
  /// than `count` where scores are estimates, since they are compared exactly afterwards.
  ///
  /// - Parameters:
  ///   - query: one query, `[1, dimension]`.
  ///   - rows: all indexed rows, at least one.
  ///   - count: 1 or more.
  /// - Returns: the rows, and what was read to find them.
  func candidates(
    _ count: Int, for query: QueryGroup, rows: IndexRows, workspace: Workspace
  ) -> (rows: [UInt32], read: ReadCount)

  /// Throws when a file at `path` could not hold the index.
  func requireStorable(at path: String) throws(IndexFileError)

  /// Forgets all rows and what was learned of them; parameters remain.
  func removeAll()
}

extension KeyIndex {
  package func requireStorable(at path: String) throws(IndexFileError) {}
}

/// How many candidates are compared exactly where `count` rows are wanted and scores come from codes, by which the best
/// rows are among many alike.
func candidateCount(for count: Int) -> Int { max(64, 16 * count) }
