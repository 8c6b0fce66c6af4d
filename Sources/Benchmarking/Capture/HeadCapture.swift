// Vectors of real heads, recorded while a model reads a text: what indexes are measured on.

import AttentionKernels
import Foundation
import Generation
package import LlamaHost
import NumpyFile
import RetrievalAttention

/// Records queries, keys and values of chosen layers under exact attention, as a folder that
/// ``CaptureDescription`` describes.
///
/// Queries of every 32nd token of the context and of its last 32 are kept as training queries, those of all decoded
/// tokens as queries.
package enum HeadCapture {
  /// What to record.
  package struct Settings: Sendable {
    /// Names for the description.
    package var model: String
    package var text: String
    /// Tokens that are read first.
    package var contextTokens: Int
    /// Tokens that are decoded after them, teacher-forced.
    package var decodeTokens: Int
    package var layers: [Int]

    package init(model: String, text: String, contextTokens: Int, decodeTokens: Int, layers: [Int]) {
      self.model = model
      self.text = text
      self.contextTokens = contextTokens
      self.decodeTokens = decodeTokens
      self.layers = layers
    }
  }

  /// Steps of the recording, for progress.
  package enum Phase: Sendable {
    case prefill(done: Int, total: Int)
    case decode(done: Int, total: Int)
  }

  static let trainingStride = 32
  static let recentCount = 32

  /// Reads a text and writes the vectors to `directory`, which must not exist or be empty.
  ///
  /// The folder is written beside its place and renamed at the end: a failure leaves nothing there.
  /// - Throws: ``CaptureError``, ``Generation/GenerationError``, ``NumpyFile/NumpyError`` and what runners throw.
  package static func record(
    model: LlamaModel, pool: ThreadPool, tokens: [Int32], settings: Settings, directory: String,
    onPhase: @escaping (Phase) -> Void = { _ in }
  ) throws {
    for (name, value) in [("context", settings.contextTokens), ("tokens", settings.decodeTokens)]
    where value <= 0 {
      throw GenerationError.invalidCount(name: name, value: value, requirement: "positive")
    }
    let (context, decoded) = (settings.contextTokens, settings.decodeTokens)
    guard tokens.count >= context + decoded else {
      throw GenerationError.textTooShort(tokens: tokens.count, required: context + decoded)
    }
    try checkIsFree(directory)
    let runner = try GuestRunner(
      model: model, pool: pool, policy: .exact, plannedTokens: context + decoded)
    let shape = try commonShape(of: settings.layers, in: runner.engine.shape)

    let recorder = QueryRecorder(context: context, layers: settings.layers)
    runner.options.observer = AttentionObserver(onCall: { recorder.record($0) })
    _ = try runner.prefill(Array(tokens[..<context])) { onPhase(.prefill(done: $0, total: context)) }
    for step in 0..<decoded {
      _ = try runner.decode(tokens[context + step])
      onPhase(.decode(done: step + 1, total: decoded))
    }
    let description = CaptureDescription(
      model: settings.model, text: settings.text, context: context, decoded: decoded,
      heads: CaptureDescription.Heads(
        dimension: shape.headDimension, groupSize: shape.groupSize, kvHeadCount: shape.kvHeadCount,
        scale: shape.scale, rope: rope(shape, base: model.description.ropeFrequencyBase)),
      layers: settings.layers)
    try write(description, recorder: recorder, engine: runner.engine, directory: directory)
  }

  private static func checkIsFree(_ directory: String) throws(CaptureError) {
    let contents = try? FileManager.default.contentsOfDirectory(atPath: directory)
    let exists = FileManager.default.fileExists(atPath: directory)
    guard !exists || contents?.isEmpty == true else {
      throw .invalid(
        path: directory, name: "output", value: "there already", requirement: "a new or empty folder")
    }
  }

  /// A capture has one width, group size and rotation.
  private static func commonShape(of layers: [Int], in shape: ModelShape) throws -> LayerShape {
    var common: (number: Int, layer: LayerShape)?
    for number in layers {
      guard let layer = shape[number] else {
        throw AttentionError.unknownLayer(number, layerCount: shape.layers.count)
      }
      let problem: String? =
        if let window = layer.slidingWindow {
          "a layer without a sliding window (this one keeps \(window) keys)"
        } else if layer.isBent {
          "a layer whose scores are dot products, not capped or lowered with distance"
        } else if let common, !common.layer.isCaptured(with: layer) {
          "of the same shape and rotation as layer \(common.number)"
        } else {
          nil
        }
      if let problem {
        throw AttentionError.invalidSetting(name: "layer", value: "\(number)", requirement: problem)
      }
      common = common ?? (number, layer)
    }
    guard let common else {
      throw GenerationError.invalidCount(name: "layers", value: 0, requirement: "positive")
    }
    return common.layer
  }

  private static func rope(_ shape: LayerShape, base: Double?) -> CaptureRope {
    // A capture's rotation begins with the first dimension.
    guard let rotary = shape.rotary, rotary.firstDimension == 0 else { return .none }
    return CaptureRope(
      layout: rotary.layout == .adjacentPairs ? .adjacent : .half, base: base ?? 10_000,
      dimensions: 2 * rotary.inverseFrequencies.count, inverseFrequencies: rotary.inverseFrequencies)
  }

  private static func write(
    _ description: CaptureDescription, recorder: QueryRecorder, engine: AttentionEngine, directory: String
  ) throws {
    let files = FileManager.default
    let target = URL(fileURLWithPath: directory)
    let temporary = target.deletingLastPathComponent().appendingPathComponent(
      ".\(target.lastPathComponent).\(UUID().uuidString)")
    try files.createDirectory(at: temporary, withIntermediateDirectories: true)
    do {
      func path(_ name: String) -> String { temporary.appendingPathComponent(name).path }
      func writePositions(_ name: String, _ positions: [Int32]) throws {
        let writer = try NumpyWriter(path: path(name), elementType: .int32, rowShape: [])
        try writer.append(positions)
        try writer.close()
      }
      try writePositions(CaptureDescription.trainingPositionsName, recorder.trainingPositions)
      try writePositions(
        CaptureDescription.queryPositionsName,
        (description.context..<description.context + description.decoded).map(Int32.init))
      for layer in description.layers {
        for head in 0..<description.kvHeadCount {
          func name(_ file: CaptureDescription.HeadFile) -> String {
            path(CaptureDescription.fileName(layer: layer, head: head, file))
          }
          try writeRows(engine.rows(layer: layer, kvHead: head), keys: name(.keys), values: name(.values))
          let (g, d) = (description.groupSize, description.headDimension)
          try recorder.write(
            recorder.training[layer] ?? [], to: name(.trainingQueries), kvHead: head, groupSize: g,
            dimension: d)
          try recorder.write(
            recorder.decoded[layer] ?? [], to: name(.queries), kvHead: head, groupSize: g, dimension: d)
        }
      }
      try description.write(directory: temporary.path)
      if files.fileExists(atPath: directory) { try files.removeItem(at: target) }
      try files.moveItem(at: temporary, to: target)
    } catch {
      try? files.removeItem(at: temporary)
      throw error
    }
  }

  private static func writeRows(_ rows: HeadRows, keys: String, values: String) throws {
    for (path, area) in [(keys, rows.keys), (values, rows.values)] {
      precondition(area.format == .float16, "rows of a capture are \(area.format.rawValue)")
      let writer = try NumpyWriter(path: path, elementType: .float16, rowShape: [rows.dimension])
      try unsafe writer.append(
        bytes: UnsafeRawBufferPointer(start: area.base, count: rows.count * area.stride))
      try writer.close()
    }
  }
}

extension LayerShape {
  /// Whether vectors of another layer fit into the same capture: what queries see besides keys is no part of it.
  fileprivate func isCaptured(with other: LayerShape) -> Bool {
    var (mine, others) = (self, other)
    (mine.sinks, mine.keyLayer) = (nil, nil)
    (others.sinks, others.keyLayer) = (nil, nil)
    return mine == others
  }
}

/// Queries of some layers, `[tokens][headCount * headDimension]` in f16, after rotary embedding, not scaled.
private final class QueryRecorder {
  private(set) var training: [Int: [[UInt16]]] = [:]
  private(set) var decoded: [Int: [[UInt16]]] = [:]
  private(set) var trainingPositions: [Int32] = []
  private let context: Int
  private let layers: [Int]

  init(context: Int, layers: [Int]) {
    self.context = context
    self.layers = layers
  }

  func record(_ call: AttentionCall) {
    guard layers.contains(call.layer) else { return }
    for token in 0..<call.tokenCount {
      let position = call.firstPosition + token
      if position >= context {
        decoded[call.layer, default: []].append(row(call, token))
      } else if position % HeadCapture.trainingStride == 0 || position >= context - HeadCapture.recentCount {
        training[call.layer, default: []].append(row(call, token))
        if call.layer == layers[0] { trainingPositions.append(Int32(position)) }
      }
    }
  }

  private func row(_ call: AttentionCall, _ token: Int) -> [UInt16] {
    let d = call.shape.headDimension
    return unsafe [UInt16](unsafeUninitializedCapacity: call.shape.headCount * d) { target, count in
      for head in 0..<call.shape.headCount {
        let query = unsafe call.queries.row(token: token, head: head)
        unsafe Kernels.active.unsafeConvertToFloat16(query, target.baseAddress! + head * d, count: d)
      }
      count = call.shape.headCount * d
    }
  }

  /// Writes the queries of one KV head's group, `[groupSize, tokens, d]`.
  func write(_ rows: [[UInt16]], to path: String, kvHead: Int, groupSize g: Int, dimension d: Int) throws {
    let writer = try NumpyWriter(path: path, elementType: .float16, rowShape: [rows.count, d])
    for head in kvHead * g..<(kvHead + 1) * g {
      try writer.append(float16Bits: rows.flatMap { $0[head * d..<(head + 1) * d] })
    }
    try writer.close()
  }
}
