// What a policy sees besides rows, and what it does about it when it does not care: nothing.

package import VectorIndex

/// When ``HeadPolicy/update(_:askPosition:workspace:)`` is called.
package enum UpdateMoment {
  /// A batch of a prompt has been read, and more will follow.
  case betweenBatches
  /// The last batch of a prompt has been read.
  case endOfPrompt
  /// A generated token has been read.
  case decoding
}

/// One token's queries as the host gave them, and what attention answered.
package struct ObservedToken {
  package var position: Int
  /// `[groupSize, d]`, not scaled.
  package var queries: UnsafePointer<Float>
  /// What dot products are multiplied by.
  package var scale: Float
  /// `[groupSize, d]`
  package var outputs: UnsafePointer<Float>
  /// `[groupSize]`: natural logarithms of the softmax denominators, over keys from which nothing was taken away.
  package var logSumExps: UnsafePointer<Float>
}

/// One KV head's share of a batch of a prompt.
package struct HeadBatch {
  let call: AttentionCall
  let layer: LayerShape
  let kvHead: Int

  package var tokenCount: Int { call.tokenCount }
  package var firstPosition: Int { call.firstPosition }

  /// Copies the queries of some tokens of the batch, scaled, to `[tokens, groupSize, d]`.
  package func queries(_ tokens: Range<Int>, into target: UnsafeMutablePointer<Float>, workspace: Workspace) {
    call.queries.gather(
      heads: layer.group(of: kvHead), tokens: tokens, width: layer.headDimension, into: target)
    workspace.kernels.unsafeScale(
      target, by: layer.scale, count: tokens.count * layer.groupSize * layer.headDimension)
  }
}

extension HeadPolicy {
  package func firstVisibleRow(for row: Int) -> Int { 0 }
  package func willAppend(rows: Int) {}
  package func partCount(workers: Int) -> Int { 1 }
  package var shareCount: Int { 0 }
  package func plan(
    _ queries: UnsafePointer<Float>, known: UnsafePointer<Float>, states: RunningStates, workspace: Workspace
  ) -> ReadStatistics.Head { ReadStatistics.Head() }
  package func attend(
    share: Int, queries: UnsafePointer<Float>, states: RunningStates, tail: TailSums,
    workspace: Workspace
  ) -> ReadStatistics.Head { ReadStatistics.Head() }
  package func checkTruncation(to count: Int) throws(AttentionError) {}
  package func wants(position: Int, batchEnd: Int) -> Bool { false }
  package func observe(_ token: ObservedToken, workspace: Workspace) {}
  package var readsBatches: Bool { false }
  package func didPrefill(_ batch: HeadBatch, workspace: Workspace) {}
  package func needsUpdate(_ moment: UpdateMoment) -> Bool { false }
  package func update(_ moment: UpdateMoment, askPosition: Int, workspace: Workspace) {}
  package var indexedRowCount: Int { 0 }
  package var indexByteCount: Int { 0 }
  package var sampleByteCount: Int { 0 }
}
