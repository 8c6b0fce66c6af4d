// What a head sees besides rows.

package import VectorIndex

/// When ``UpdatedHead/update(_:askPosition:workspace:)`` is called.
public enum UpdateMoment: Sendable {
  /// A batch of a prompt has been read, and more will follow.
  case betweenBatches
  /// The last batch of a prompt has been read.
  case endOfPrompt
  /// A generated token has been read.
  case decoding
}

/// One token's queries as the host gave them, and what attention answered.
@safe public struct ObservedToken {
  public var position: Int
  /// `[groupSize, d]`, not scaled.
  package var queries: UnsafePointer<Float>
  /// What dot products are multiplied by.
  public var scale: Float
  /// `[groupSize, d]`
  package var outputs: UnsafePointer<Float>
  /// `[groupSize]`: natural logarithms of the softmax denominators, over keys from which nothing was taken away.
  package var logSumExps: UnsafePointer<Float>
  let groupSize: Int
  let dimension: Int

  /// A query of the group as the host gave it.
  public func query(_ head: Int) -> [Float] { unsafe row(queries, head) }
  /// What attention answered to a query of the group.
  public func output(_ head: Int) -> [Float] { unsafe row(outputs, head) }

  private func row(_ rows: UnsafePointer<Float>, _ head: Int) -> [Float] {
    precondition((0..<groupSize).contains(head), "query \(head) of a group of \(groupSize)")
    return unsafe Array(UnsafeBufferPointer(start: rows + head * dimension, count: dimension))
  }
}

/// One KV head's share of a batch of a prompt. A view of memory that is valid during the call.
public struct HeadBatch {
  let call: AttentionCall
  let layer: LayerShape
  let kvHead: Int

  public var tokenCount: Int { call.tokenCount }
  public var firstPosition: Int { call.firstPosition }

  /// Copies the queries of some tokens of the batch, scaled, to `[tokens, groupSize, d]`.
  package func queries(_ tokens: Range<Int>, into target: UnsafeMutablePointer<Float>, workspace: Workspace) {
    unsafe call.queries.gather(
      heads: layer.group(of: kvHead), tokens: tokens, width: layer.headDimension, into: target)
    unsafe workspace.kernels.unsafeScale(
      target, by: layer.scale, count: tokens.count * layer.groupSize * layer.headDimension)
  }
}
