// A plain scan over coded keys: no structure to build, every row scored, the best attended to exactly.

import AttentionKernels

/// How an index keeps keys for scoring. Bytes a key for dimension d, without the key itself.
public enum KeyCodes: String, CaseIterable, Sendable {
  /// No codes: scored from the keys as they are stored. 0 bytes kept, those of a key read: 2 d in f16.
  case float16
  /// Locally adaptive quantization (arXiv 2304.04759) in the queries' geometry, 8 bits: d + 4 bytes.
  case lvq8
  /// The same with 4 bits: d / 2 + 4 bytes.
  case lvq4
  /// Product quantization in the queries' geometry, 2 bits a coordinate: d / 4 bytes.
  case pq2
  /// The same with 1 bit a coordinate: d / 8 bytes.
  case pq1
}

/// An index that scores every row by a code, for all queries of a group in one pass, and attends to the best.
///
/// Cost: all codes are read for every token. Codes are small and the scan is at memory speed, so up to some tens of
/// thousands of rows this reads less than it seems; beyond, ``ClusterIndex`` reads a smaller and smaller share.
public final class ScanIndex: AttentionIndex {
  /// What is frozen into the index when rows are inserted.
  public struct BuildParameters: Sendable, Hashable {
    public var codes = KeyCodes.lvq4
    /// Seed of rotations and first codebooks.
    public var seed: UInt64 = 0

    public init(codes: KeyCodes = .lvq4, seed: UInt64 = 0) {
      self.codes = codes
      self.seed = seed
    }
  }

  /// What may differ from query to query.
  public struct SearchParameters: Sendable, Hashable {
    /// Rows that each query of a group wants by their codes' scores. The group attends exactly to the union of what
    /// its queries want: codes decide what is read, never how it is weighed.
    ///
    /// To make up for inexact codes, ask for more. Scoring more candidates exactly and keeping the best of them reads
    /// their keys and drops what they tell: it errs more at equal bytes, so there is no such step.
    public var k = 100

    public init(k: Int = 100) {
      self.k = k
    }
  }

  public let dimension: Int
  public let build: BuildParameters
  public var search: SearchParameters
  package internal(set) var scorer: any KeyScorer
  /// Rows far beyond all others, which are attended to whatever their scores, rising.
  var outliers = RowBuffer<UInt32>()

  public init(dimension: Int, build: BuildParameters = .init(), search: SearchParameters = .init()) {
    precondition(dimension > 0, "the head dimension \(dimension) is not positive")
    self.dimension = dimension
    self.build = build
    self.search = search
    scorer = Self.scorer(of: build, dimension: dimension)
  }

  /// A scorer without rows.
  static func scorer(of build: BuildParameters, dimension: Int) -> any KeyScorer {
    switch build.codes {
    case .float16: ExactKeys(dimension: dimension)
    case .lvq8: LocallyAdaptiveCodes(dimension: dimension, bits: .eight, seed: build.seed)
    case .lvq4: LocallyAdaptiveCodes(dimension: dimension, bits: .four, seed: build.seed)
    case .pq2: ProductCodes(dimension: dimension, coordinatesPerCodebook: 2, seed: build.seed)
    case .pq1: ProductCodes(dimension: dimension, coordinatesPerCodebook: 4, seed: build.seed)
    }
  }

  /// Rows that were inserted.
  public var rowCount: Int { scorer.rowCount }

  /// Bytes of codes, codebooks and coordinates, without the rows.
  public var byteCount: Int { scorer.byteCount + outliers.byteCount }

  /// Encodes the new rows; their order stays.
  ///
  /// Coordinates and codebooks are learned from the first insertion, which should bring enough rows to stand for those
  /// to come: some thousands.
  public func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    precondition(new.count >= 0, "cannot insert \(new.count) rows")
    // Without codes there is nothing to spoil.
    let apart =
      build.codes == .float16
      ? []
      : OutlierRows.find(
        keys: new.keys, values: nil, count: new.count, dimension: dimension, workspace: workspace)
    for row in apart { outliers.append(UInt32(rowCount) + row) }
    scorer.insert(
      keys: new.keys, count: new.count, outliers: apart, training: training, workspace: workspace)
  }
}
