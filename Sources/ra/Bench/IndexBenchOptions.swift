// Options of `ra bench index`: the vectors, and the settings of the indexes.

import ArgumentParser
import Benchmarking
import Evaluation

struct IndexVectorOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A folder that ra capture wrote.", valueName: "folder"), completion: .directory)
  var capture: String?
  @Option(help: ArgumentHelp("Layers of the capture. (default: all)", valueName: "layer,..."))
  var layers: CommaSeparated<Int>?
  @Option(help: ArgumentHelp("KV heads of each layer. (default: all)", valueName: "head,..."))
  var heads: CommaSeparated<Int>?

  @Option(
    help: ArgumentHelp("Instead of a capture: keys of one head, [tokens, d].", valueName: "file.npy"),
    completion: .npy)
  var keys: String?
  @Option(help: ArgumentHelp("Values, [tokens, d].", valueName: "file.npy"), completion: .npy)
  var values: String?
  @Option(
    help: ArgumentHelp("Queries, [groupSize, queries, d], not scaled.", valueName: "file.npy"),
    completion: .npy)
  var queries: String?
  @Option(
    help: ArgumentHelp(
      "Their positions, [queries]: a query sees the rows up to its own; that after the last row is possible.",
      valueName: "file.npy"), completion: .npy)
  var queryPositions: String?
  @Option(
    help: ArgumentHelp("Queries to learn from, [groupSize, trainingQueries, d].", valueName: "file.npy"),
    completion: .npy)
  var trainingQueries: String?
  @Option(help: ArgumentHelp("Their positions, [trainingQueries].", valueName: "file.npy"), completion: .npy)
  var trainingPositions: String?
  @Option(help: ArgumentHelp("What queries are multiplied by. (default: 1 / sqrt(d))", valueName: "factor"))
  var scale: Float?
  @Option(help: ArgumentHelp("How keys and queries were rotated: none, adjacent, half.", valueName: "layout"))
  var rope = CaptureRope.Layout.none
  @Option(help: ArgumentHelp("Base of the rotation's frequencies.", valueName: "number"))
  var ropeBase = 10_000.0
  @Option(help: ArgumentHelp("Rotated elements of a head. (default: all)", valueName: "elements"))
  var ropeDimensions: Int?
  @Option(help: ArgumentHelp("What positions are multiplied by.", valueName: "factor"))
  var ropeScale = 1.0

  private var single: [(String, String?)] {
    [
      ("--keys", keys), ("--values", values), ("--queries", queries), ("--query-positions", queryPositions),
    ]
  }

  func check() throws {
    let given = single.filter { $0.1 != nil }
    let training = (trainingQueries != nil, trainingPositions != nil)
    guard training.0 == training.1 else {
      throw ValidationError("--training-queries and --training-positions go together.")
    }
    if capture != nil {
      if let first = given.first { throw ValidationError("--capture and \(first.0) exclude each other.") }
      if training.0 { throw ValidationError("--capture and --training-queries exclude each other.") }
      if scale != nil { throw ValidationError("--capture and --scale exclude each other.") }
      if rope != .none { throw ValidationError("--capture and --rope exclude each other.") }
    } else {
      if let missing = single.first(where: { $0.1 == nil }) {
        throw ValidationError(
          given.isEmpty ? "--capture is needed, or --keys and its companions." : "\(missing.0) is missing.")
      }
      if layers != nil { throw ValidationError("--layers needs --capture.") }
      if heads != nil { throw ValidationError("--heads needs --capture.") }
      if let ropeDimensions, ropeDimensions <= 0 {
        throw ValidationError("--rope-dimensions is \(ropeDimensions), but must be positive.")
      }
    }
  }

  func input() throws -> IndexBenchmarkInput {
    if let capture {
      return try IndexBenchmarkInput(directory: capture, layers: layers?.elements, heads: heads?.elements)
    }
    guard let keys, let values, let queries, let queryPositions else {
      throw ValidationError("--capture is needed, or --keys and its companions.")
    }
    return try IndexBenchmarkInput(
      files: HeadFiles(
        keys: keys, values: values, queries: queries, queryPositions: queryPositions,
        trainingQueries: trainingQueries, trainingPositions: trainingPositions),
      scale: scale,
      rope: CaptureRope(
        layout: rope, base: ropeBase, dimensions: ropeDimensions ?? 0, frequencyScale: ropeScale))
  }
}

struct IndexSweepOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Indexes: \(IndexCatalog.names.joined(separator: ", ")).", valueName: "name,..."),
    completion: .commaSeparated { IndexCatalog.names })
  var index = CommaSeparated(IndexCatalog.names)
  @Option(help: ArgumentHelp("Rows retrieved for a query.", valueName: "rows,..."))
  var k = CommaSeparated(IndexSweep().k)
  @Option(help: ArgumentHelp("Tolerances of clusters: lower reads more.", valueName: "tolerance,..."))
  var tolerance = CommaSeparated(IndexSweep().tolerance)

  @Option(
    help: ArgumentHelp("Keys that a graph search follows to their neighbors.", valueName: "keys,..."))
  var beamWidth = CommaSeparated(IndexSweep().beamWidth)
  @Option(help: ArgumentHelp("Inverted lists read for a query.", valueName: "lists,..."))
  var probes = CommaSeparated(IndexSweep().probes)

  var settings: IndexBenchmark.Settings {
    var settings = IndexBenchmark.Settings()
    settings.sweep.beamWidth = beamWidth.elements
    settings.sweep.probes = probes.elements
    settings.kinds = index.elements
    settings.sweep.k = k.elements
    settings.sweep.tolerance = tolerance.elements
    return settings
  }
}

extension CaptureRope.Layout: ExpressibleByArgument {}
