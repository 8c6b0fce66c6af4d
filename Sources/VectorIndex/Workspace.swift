// Scratch memory of one worker thread. Buffers only grow, so a decode step allocates nothing once it is warm.

package import AttentionKernels

/// Scratch memory for one worker thread, reused from call to call.
///
/// Owned by whoever runs the workers, one for each. Not thread-safe, and nothing in it outlives a call.
public final class Workspace {
  package let kernels: Kernels
  /// Notes which rows a head reads, while somebody measures; nil otherwise.
  package var recorder: ReadRecorder?
  /// Notes what time is spent on, while somebody measures; nil otherwise.
  package var stages: StageClock?
  private var floatBuffers = Purpose.allCases.map { _ in Slot<Float>() }
  private var halfBuffers = Purpose.allCases.map { _ in Slot<UInt16>() }
  private var byteBuffers = Purpose.allCases.map { _ in Slot<UInt8>() }
  private var indexBuffers = Purpose.allCases.map { _ in Slot<UInt32>() }
  /// What searches over graphs keep.
  let beamMemory = BeamMemory()
  private var rankBuffers = Purpose.allCases.map { _ in Slot<UInt64>() }
  private var lineBuffers = Purpose.allCases.map { _ in Slot<CodeLine>() }

  package init(kernels: Kernels = .active) {
    self.kernels = kernels
  }

  /// What a buffer is for. Two users of one purpose must not overlap in time.
  package enum Purpose: Int, CaseIterable {
    case queries, scores, weights, kernel, states, maxima, sums, outputs
    case points, whitened, centroids, clusterSums, geometry, keyMap, queryMap, candidates,
      best, halfNorms, values
    case assignments, order, counts, visibleBegin, visibleEnd, selected
    case trainingQueries, trainingOutputs, trainingNormalizers
    case relevance, reach, captured
    case neighbors, neighborScores, candidateDistances, kept, together
    case point, searchPoint, keyNorms, mappedKeys
    case groupScores, groupWeights, clusterIDs, groupStates, groupMeans, groupOrder, thinnedTraining, slices
    case mappedQueries, codeQueries, codeScales, union, tail, clusterWeights
    case outlierRow, outlierSample, outlierDistances, trial
  }

  private final class Slot<Element: BitwiseCopyable> {
    var buffer = RowBuffer<Element>()
  }

  /// At least `count` floats, uninitialized or with what the last user left.
  package func floats(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<Float> {
    let slot = floatBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }

  package func halves(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<UInt16> {
    let slot = halfBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }

  package func bytes(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<UInt8> {
    let slot = byteBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }

  package func indices(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<UInt32> {
    let slot = indexBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }

  package func ranks(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<UInt64> {
    let slot = rankBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }

  package func lines(_ purpose: Purpose, _ count: Int) -> UnsafeMutablePointer<CodeLine> {
    let slot = lineBuffers[purpose.rawValue]
    slot.buffer.reserve(count)
    return slot.buffer.base
  }
}

/// 64 bytes of codes, at a multiple of 64 in memory: what kernels load at once.
package typealias CodeLine = SIMD64<UInt8>
