// Kinds of index that are saved in several ways: a type for each, so that checks of storage run for all.

import VectorIndex

/// A kind of index with some build parameters.
protocol IndexVariant {
  associatedtype Index: StoredIndex
  /// Query heads that training queries come from, when their number allows it.
  static var groupSize: Int { get }
  static func make(dimension: Int) -> Index
  static func save(_ index: Index, to path: String) throws(IndexFileError)
  static func open(_ path: String, verifying: Bool) throws(IndexFileError) -> Index
}

/// An index of a variant, which does as that index does.
final class SavedVariant<Variant: IndexVariant>: SavedIndex {
  static var kind: FileTag { Variant.Index.kind }
  static var kindVersion: UInt32 { Variant.Index.kindVersion }

  let index: Variant.Index

  init(dimension: Int) { index = Variant.make(dimension: dimension) }
  init(reading file: IndexFileReader) throws(IndexFileError) { index = try Variant.Index(reading: file) }
  init(from path: String, verifying: Bool) throws(IndexFileError) {
    index = try Variant.open(path, verifying: verifying)
  }

  func save(to path: String) throws(IndexFileError) { try Variant.save(index, to: path) }
  func write(to file: inout IndexFileWriter) { index.write(to: &file) }

  var dimension: Int { index.dimension }
  var rowCount: Int { index.rowCount }
  var byteCount: Int { index.byteCount }

  func insert(_ new: NewRows, all: IndexRows, training: TrainingQueries, workspace: Workspace) {
    var training = training
    if training.count % Variant.groupSize == 0 { training.groupSize = Variant.groupSize }
    index.insert(new, all: all, training: training, workspace: workspace)
  }

  func attend(_ call: IndexCall, states: StatePointers) -> ReadCount { index.attend(call, states: states) }
}

// MARK: - Scans

protocol ScanVariant: IndexVariant where Index == ScanIndex {
  static var codes: KeyCodes { get }
}

extension ScanVariant {
  static var groupSize: Int { 1 }
  static func make(dimension: Int) -> ScanIndex {
    ScanIndex(dimension: dimension, build: .init(codes: codes, seed: .max - 7), search: .init(k: 10))
  }
  static func save(_ index: ScanIndex, to path: String) throws(IndexFileError) { try index.save(to: path) }
  static func open(_ path: String, verifying: Bool) throws(IndexFileError) -> ScanIndex {
    try ScanIndex(contentsOf: path, search: .init(k: 10), verifying: verifying)
  }
}

enum Float16Keys: ScanVariant { static var codes: KeyCodes { .float16 } }
enum LVQ8Keys: ScanVariant { static var codes: KeyCodes { .lvq8 } }
enum LVQ4Keys: ScanVariant { static var codes: KeyCodes { .lvq4 } }
enum PQ2Keys: ScanVariant { static var codes: KeyCodes { .pq2 } }
enum PQ1Keys: ScanVariant { static var codes: KeyCodes { .pq1 } }

// MARK: - Graphs

protocol GraphVariant: IndexVariant where Index == GraphIndex {
  static var build: GraphIndex.BuildParameters { get }
}

extension GraphVariant {
  static func make(dimension: Int) -> GraphIndex {
    guard let index = try? GraphIndex(dimension: dimension, build: build, search: search) else {
      preconditionFailure("\(build) is out of range")
    }
    return index
  }
  static func save(_ index: GraphIndex, to path: String) throws(IndexFileError) { try index.save(to: path) }
  static func open(_ path: String, verifying: Bool) throws(IndexFileError) -> GraphIndex {
    try GraphIndex(contentsOf: path, search: search, verifying: verifying)
  }
  private static var search: GraphIndex.SearchParameters { .with(beamWidth: 12, k: 10) }
}

// Few links: tests of damage take a file for each bit.

/// One graph, with a geometry.
enum CoRetrievalGraph: GraphVariant {
  static var groupSize: Int { 1 }
  static var build: GraphIndex.BuildParameters {
    .with(.coRetrieval, maxDegree: 6, buildBeamWidth: 20, nearestCount: 20)
  }
}

/// A graph for each of two query heads.
enum RoarGraphs: GraphVariant {
  static var groupSize: Int { 2 }
  static var build: GraphIndex.BuildParameters {
    .with(.roarGraph, sharing: .perQueryHead, maxDegree: 2, buildBeamWidth: 20, nearestCount: 20)
  }
}
