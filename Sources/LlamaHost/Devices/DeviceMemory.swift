// What devices hold for a model, and what passes between them and us.

import CLlama

/// Bytes of one device's memory, by what they are for.
public struct DeviceMemoryUse: Sendable, Hashable, Encodable {
  /// See ``ComputeDevice/name``.
  public let device: String
  /// Of layers, in bytes.
  public internal(set) var weights = 0
  /// Keys and values of one batch: the way from the host to us, of the same size at every context length; with those of
  /// a prompt, while devices attend to one.
  public internal(set) var cache = 0
  /// Intermediate results of the largest batch; with a prompt's masks.
  public internal(set) var compute = 0

  /// All of it, in bytes.
  public var total: Int { weights + cache + compute }
}

/// Bytes of queries, keys, values and outputs that were copied for a guest, whose memory is not the devices'.
public struct DeviceTraffic: Sendable, Hashable, Encodable {
  /// From devices: queries, keys and values.
  public internal(set) var readBytes = 0
  /// To devices: outputs.
  public internal(set) var writtenBytes = 0

  /// Nothing yet.
  public init() {}

  package mutating func add(_ other: DeviceTraffic) {
    readBytes += other.readBytes
    writtenBytes += other.writtenBytes
  }
}

/// The buffers that the nodes of a graph lie in, and the devices of its layers, which ggml never forgets. Buffers are
/// only compared with each other.
@safe final class DeviceMemorySurvey {
  private var seen: Set<ggml_backend_buffer_t> = unsafe []
  private var uses: [DeviceMemoryUse]
  /// Devices that attention nodes are computed on, by layer; none for the CPU.
  private(set) var layerDevices: [Int: ggml_backend_dev_t] = unsafe [:]

  init(devices: [ComputeDevice]) {
    uses = devices.map { DeviceMemoryUse(device: $0.name) }
  }

  /// Adds the buffers of a node and of what it reads.
  func note(_ node: TensorPointer) {
    unsafe note(buffer: node)
    unsafe noteLayer(node)
    unsafe withUnsafeBytes(of: node.pointee.src) { bytes in
      unsafe bytes.bindMemory(to: TensorPointer?.self).forEach { unsafe $0.map(note(buffer:)) }
    }
  }

  private func noteLayer(_ node: TensorPointer) {
    guard unsafe node.pointee.op == GGML_OP_FLASH_ATTN_EXT, let key = unsafe node.pointee.src.1,
      let cache = unsafe HostTensor.cacheLayer(key), cache.isKey,
      let buffer = unsafe HostTensor.buffer(node), unsafe !ggml_backend_buffer_is_host(buffer),
      unsafe HostTensor.buffer(key).map({ unsafe !ggml_backend_buffer_is_host($0) }) == true,
      let device = unsafe ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer))
    else { return }
    unsafe layerDevices[cache.layer] = unsafe device
  }

  /// By device, in the order in which they were given.
  var result: [DeviceMemoryUse] { uses }

  private func note(buffer tensor: TensorPointer) {
    guard let buffer = unsafe HostTensor.buffer(tensor),
      unsafe seen.insert(buffer).inserted, unsafe !ggml_backend_buffer_is_host(buffer),
      let device = unsafe ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer)),
      let name = unsafe ggml_backend_dev_name(device).map({ unsafe String(cString: $0) }),
      let index = uses.firstIndex(where: { $0.device == name })
    else { return }
    let bytes = unsafe ggml_backend_buffer_get_size(buffer)
    switch unsafe ggml_backend_buffer_get_usage(buffer) {
    case GGML_BACKEND_BUFFER_USAGE_WEIGHTS: uses[index].weights += bytes
    case GGML_BACKEND_BUFFER_USAGE_COMPUTE: uses[index].compute += bytes
    default: uses[index].cache += bytes
    }
  }
}

extension GuestContext {
  /// What was copied between devices and the guest, since the context was made.
  public var deviceTraffic: DeviceTraffic { observer.traffic }

  /// Evaluates one token without attention and looks where everything lies. Buffers are as large as they will get:
  /// the host makes room for the largest batch at once. Devices are warm afterwards, too.
  func surveyDevices() throws {
    guard !model.devices.isEmpty else { return }
    let survey = DeviceMemorySurvey(devices: model.devices)
    observer.survey = survey
    defer { observer.survey = nil }
    // Any token does.
    batch.fill([0], startPosition: 0, outputCount: 1)
    unsafe llama_memory_clear(handle.memory, false)
    observer.begin(batch, sequences: [0..<1])
    defer { observer.end() }
    let mark = HostLog.mark()
    let code = unsafe llama_decode(handle.pointer, batch.batch)
    if let failure = observer.failure { throw failure }
    guard code == 0 else { throw LlamaError.decodeFailed(code: Int(code), log: HostLog.lines(since: mark)) }
    unsafe llama_memory_clear(handle.memory, false)
    deviceMemory = survey.result
    unsafe layerDevices = unsafe survey.layerDevices
  }

  func checkDeviceMemory() throws {
    guard let limit = model.deviceMemoryLimit, let use = deviceMemory.first(where: { $0.total > limit })
    else { return }
    throw LlamaError.deviceMemoryExceeded(
      device: use.device, weights: use.weights, cache: use.cache, compute: use.compute, limit: limit)
  }
}

extension LlamaModel {
  /// Bytes of the weights of the model's last layers, as the file has them.
  ///
  /// - Parameter layers: as ``Options/gpuLayers``.
  public static func weightBytes(of file: GGUFFile, layers: Int) -> Int {
    let count = file.integer("\(file.architecture ?? "").block_count") ?? 0
    let first = max(0, count + 1 - max(0, layers))
    guard layers > 0 else { return 0 }
    let hasOutput = file.tensors.contains { $0.name == "output.weight" }
    return file.tensors.reduce(0) { sum, tensor in
      let parts = tensor.name.split(separator: ".")
      let isWanted =
        if parts.count > 2, parts[0] == "blk", let layer = Int(parts[1]) {
          layer >= first
        } else {
          // Without weights of its own the output uses those of the input, of which the device gets a copy.
          tensor.name.hasPrefix("output") || (!hasOutput && tensor.name == "token_embd.weight")
        }
      return isWanted ? sum + tensor.byteCount : sum
    }
  }

  /// Refuses what cannot fit before minutes are spent on loading it. Which device gets how much is not known yet.
  static func checkDeviceMemory(
    file: GGUFFile, layers: Int, devices: [ComputeDevice], limit: Int?
  ) throws {
    guard let limit, !devices.isEmpty else { return }
    let (allowed, overflow) = limit.multipliedReportingOverflow(by: devices.count)
    let weights = weightBytes(of: file, layers: layers)
    guard !overflow, weights > allowed else { return }
    throw LlamaError.deviceMemoryExceeded(
      device: devices.map(\.name).joined(separator: " with "), weights: weights, cache: 0, compute: 0,
      limit: allowed)
  }
}
