// What the decode benchmark tells.

package import Evaluation
package import Generation
package import LlamaHost
import RetrievalAttention
import VectorIndex

/// How the host was run, as named in results.
enum HostConfiguration {
  static let flashAttentionOff = "flash attention off, f16 cache"
  static let flashAttentionOn = "flash attention on, f16 cache"
}

/// The decode time of one attention at one depth, with the names of its JSON form.
package struct DecodeResult: Sendable, Codable {
  /// `host`, or the policy with its settings as ``RetrievalAttention/AttentionPolicy/parse(_:)`` takes them.
  package var policy: String
  /// How the host was run; nil for our attention.
  package var configuration: String?
  /// Tokens in the context; 0 stands for one.
  package var depth: Int
  /// Whether the context was made of copies beyond ``DecodeBenchmark/Settings/syntheticPeriod`` tokens.
  package var synthetic: Bool
  /// Decode steps that were measured.
  package var tokens: Int
  /// The median.
  package var millisecondsPerToken: Double
  /// The inverse of the median.
  package var tokensPerSecond: Double
  /// Milliseconds of the single steps.
  package var spread: TimeSpread
  /// Share of the context that was looked up, 0...1: retrieved keys, and what was read of the index, in bytes of keys
  /// and values; nil for the host.
  package var keysRead: Double?
  /// The same with sink and window.
  package var keysReadWithStatic: Double?
  /// Bytes of keys, values and centroids that a step read.
  package var bytesPerToken: Double?
  /// How far attention outputs are from exact ones, over all heads of ``DecodeBenchmark/Settings/checkedTokens`` more
  /// steps; nil for the host and for exact attention.
  package var outputError: OutputError?
  /// What the context takes, with index; nil for the host. Retrieval and exact attention have one context together.
  package var memory: MemoryUse?
  /// The most memory that the process has had in use up to now, the host's and other contexts included.
  package var peakResidentBytes: Int?
  /// What other devices hold for our context at this depth; nil for the host and when all layers are on the CPU.
  package var devices: [DeviceUse]?
  /// What devices did for first and last tokens; nil when the CPU attended to them.
  package var window: WindowActivity?
  /// What the mean step spends its time on; nil for the host.
  package var stages: StageTimes?
}

/// A device with some of the model's layers.
package struct DeviceUse: Sendable, Codable {
  package var device: String
  /// Weights, cache of a batch, intermediate results; first and last tokens, when they are attended to there.
  package var heldBytes: Int
  /// Free on the device now, whoever takes the rest; nil where it does not tell.
  package var freeBytes: Int?
}

/// Relative L2 distances of the outputs of query heads.
package struct OutputError: Sendable, Codable {
  package var mean: Double
  /// The 95th percentile.
  package var high: Double
  /// Query heads and steps that were compared.
  package var count: Int

  /// Nil for no samples.
  init?(_ samples: [Double]) {
    guard !samples.isEmpty else { return nil }
    let sorted = samples.sorted()
    mean = samples.reduce(0, +) / Double(samples.count)
    high = sorted[min(sorted.count - 1, sorted.count * 95 / 100)]
    count = samples.count
  }
}

/// Milliseconds of a mean decode step. What several threads do at once counts by its share of them, so that all add up
/// to the step.
package struct StageTimes: Sendable, Codable {
  /// All but attention: matrix products, norms, sampling's logits.
  package var host: Double
  /// Storing keys and values.
  package var append: Double
  /// Sink and window, or all keys when attention is exact.
  package var exact: Double
  /// Scores of centroids.
  package var centroids: Double
  /// Scores by codes and the choice of keys.
  package var selection: Double
  /// Chosen keys and values.
  package var retrieved: Double
  /// Estimates of the rest.
  package var tail: Double
  package var merge: Double
  /// Recording queries for the index.
  package var index: Double
  /// Threads without work within attention: starting, waiting for one another, ending.
  package var idle: Double
  /// The same for each layer, in microseconds.
  package var idleMicrosecondsPerLayer: Double

  /// - Parameters:
  ///   - steps: of which `profile` is the sum.
  ///   - milliseconds: of the mean step.
  init?(_ profile: DecodeProfile, steps: Int, milliseconds: Double, threads: Int) {
    guard steps > 0, profile.layerCount > 0 else { return nil }
    func time(_ stage: DecodeStage) -> Double {
      Double(profile.nanoseconds(stage)) / 1e6 / Double(steps) / Double(threads)
    }
    let attention = profile.wall / .milliseconds(1) / Double(steps)
    host = milliseconds - attention
    (append, exact, centroids) = (time(.append), time(.exact), time(.centroids))
    (selection, retrieved, tail) = (time(.selection), time(.retrieved), time(.tail))
    (merge, index) = (time(.merge), time(.index))
    idle = attention - append - exact - centroids - selection - retrieved - tail - merge - index
    idleMicrosecondsPerLayer = idle * 1000 * Double(steps) / Double(profile.layerCount)
  }

  /// Names and times, in the order of a step.
  package var named: [(name: String, milliseconds: Double)] {
    [
      ("host", host), ("append", append), ("exact", exact), ("centroids", centroids), ("select", selection),
      ("retrieved", retrieved), ("tail", tail), ("merge", merge), ("index", index), ("idle", idle),
    ]
  }
}
