// A kind of index of one's own: every key belongs to the landmark that it is most like.

public import RetrievalAttention
public import VectorIndex

/// Retrieval from a ``LandmarkIndex``: sink and window exactly, and the keys of the best landmarks.
public struct LandmarkSettings: IndexRetrievalSettings {
  public var sinkCount = 128
  public var windowCount = 512
  public var insertionCount = 512
  /// Keys for each landmark.
  public var spacing = 64
  /// Landmarks whose keys each query reads.
  public var probes = 8

  public init() {}

  public static let name = "landmarks"
  public static let summary = "Sink and window exactly, and the keys of the best landmarks."
  public static let paper: String? = nil
  public static let tradeOff = "Keys of other landmarks count nothing."
  public static let parameters: [PolicyParameter<LandmarkSettings>] =
    segmentParameters + [
      .integer("spacing", \.spacing, 1...65536, "Keys for each landmark."),
      .integer("probes", \.probes, 1...65536, "Landmarks whose keys each query reads."),
    ]

  public func makeIndex(dimension: Int, seed: UInt64) throws(AttentionError) -> any AttentionIndex {
    LandmarkIndex(dimension: dimension, spacing: spacing, probes: probes)
  }
}

/// Takes every so many keys as landmarks; each key goes to the landmark of the highest dot product, and a query reads
/// the keys of the landmarks that score highest.
final class LandmarkIndex: AttentionIndex {
  let dimension: Int
  private let spacing: Int
  private let probes: Int
  private(set) var rowCount = 0
  /// Rows of landmarks, and of the keys that belong to each.
  private var landmarks: [Int] = []
  private var members: [[Int]] = []

  init(dimension: Int, spacing: Int, probes: Int) {
    self.dimension = dimension
    self.spacing = spacing
    self.probes = probes
  }

  var byteCount: Int { (landmarks.count + rowCount) * MemoryLayout<Int>.stride }

  func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    let range = all.count - new.count..<all.count
    let added = Array(stride(from: range.lowerBound, to: range.upperBound, by: spacing))
    landmarks += added
    members += added.map { _ in [] }
    let keys = landmarks.map { all.key($0, dimension: dimension) }
    for row in range {
      let key = all.key(row, dimension: dimension)
      let scores = keys.map { zip(key, $0).reduce(Float(0)) { $0 + $1.0 * $1.1 } }
      members[scores.indices.max { scores[$0] < scores[$1] }!].append(row)
    }
    rowCount = all.count
  }

  func attend(_ call: IndexCall, states: StatePointers) -> ReadCount {
    let scores = call.scores(of: landmarks)
    let count = landmarks.count
    var chosen: Set<Int> = []
    for query in 0..<call.queryCount {
      let mine = scores[query * count..<(query + 1) * count]
      chosen.formUnion(
        mine.indices.sorted { mine[$0] > mine[$1] }.prefix(probes).map { $0 - mine.startIndex })
    }
    // The union is read once, for all queries of the group.
    var read = call.attend(to: chosen.sorted().flatMap { members[$0] }, states: states)
    read.scored += count
    read.bytes += count * call.bytesPerRow / 2
    return read
  }
}
