// What devices do for the guest in a layer's attention, while the CPU does the rest.

import CLlama

/// A flash-attention node with what it reads, after ``GuestObserver`` has checked it: the host's, good while it waits.
@safe package struct AttentionNode {
  var layer: TakeoverReport.Layer
  var output: TensorPointer
  var query: TensorPointer
  var key: TensorPointer
  var value: TensorPointer
}

/// Something that devices do for consecutive tokens of a batch.
package protocol DeviceWork: AnyObject {
  /// Whether the output of its tokens is left where the host wants it.
  var writesOutput: Bool { get }
  /// Whether to begin before queries, keys and values are read: better where a device does both at once, worse where
  /// reading would wait for what was begun.
  var startsBeforeReading: Bool { get }
  /// Lets the layer's device begin. The answer is false where the layer has none, or one that cannot do it.
  ///
  /// - Parameters:
  ///   - rows: tokens of the batch.
  ///   - position: that of the first of them.
  func start(_ node: AttentionNode, rows: Range<Int>, position: Int, stored: any StoredRows) throws -> Bool
  /// What was begun before reading: queries, keys and values have come from the device, the CPU's own work begins.
  func didRead()
  /// Waits for what was begun.
  func finish()
}

/// Tokens of a batch that devices do something for.
package struct DevicePart {
  package var work: any DeviceWork
  /// Rows of the batch, at consecutive positions.
  package var rows: Range<Int>
  package var stored: any StoredRows

  package init(work: any DeviceWork, rows: Range<Int>, stored: any StoredRows) {
    self.work = work
    self.rows = rows
    self.stored = stored
  }
}

extension GuestContext {
  /// Layers by the device that has them, and which of these devices has a layer.
  ///
  /// - Parameter anywhere: layers on the CPU too, with the CPU as one more device; for tests.
  func layersByDevice(
    anywhere: Bool, where isWanted: (TakeoverReport.Layer) -> Bool
  ) throws -> (devices: [(ggml_backend_dev_t, [TakeoverReport.Layer])], shareOfLayer: [Int: Int]) {
    let special = takeover.layers.filter { !$0.shape.isPlain }.map(\.number)
    guard special.isEmpty else { throw LlamaError.noDeviceAttention(layers: special) }
    let cpu = unsafe anywhere ? ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) : nil
    var devices: [(device: ggml_backend_dev_t, layers: [TakeoverReport.Layer])] = unsafe []
    var shareOfLayer: [Int: Int] = [:]
    for layer in takeover.layers where isWanted(layer) {
      guard let device = unsafe layerDevices[layer.number] ?? cpu else { continue }
      let number = unsafe devices.firstIndex { unsafe $0.device == device } ?? devices.count
      if unsafe number == devices.count { unsafe devices.append((device, [])) }
      unsafe devices[number].layers.append(layer)
      shareOfLayer[layer.number] = number
    }
    return unsafe (devices, shareOfLayer)
  }
}
