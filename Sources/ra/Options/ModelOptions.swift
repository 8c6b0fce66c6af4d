// Options that several subcommands share.

public import ArgumentParser
public import AttentionKernels
import Generation
import LlamaHost
import RetrievalAttention

/// A title for what is used most, in front of all else; what the host and devices are told comes last.
let mainTitle = "Main options"

struct ModelOption: ParsableArguments {
  @Option(
    name: [.short, .long],
    help:
      "The model: a GGUF file (the first one of a split model), or a name that ra models shows. \(ModelDefault.help)",
    completion: .model)
  var model: String?
}

/// What the model is run with, and where.
struct HostOptions: ParsableArguments {
  @OptionGroup(title: "Host") var threading: ThreadOptions
  @OptionGroup(title: "Host") var variant: VariantOptions
  @OptionGroup(title: "Devices") var devices: DeviceOptions
}

struct ModelOptions: ParsableArguments {
  @OptionGroup(title: "Model") var choice: ModelOption
  @OptionGroup var host: HostOptions

  var threading: ThreadOptions { host.threading }
  var variant: VariantOptions { host.variant }
  var devices: DeviceOptions { host.devices }

  /// Loads the model for contexts of a length, telling its progress on standard error.
  func load(
    _ console: Console, for context: PlannedContext, chat: ChatTemplateOptions? = nil,
    system: SystemPromptOption? = nil
  ) throws -> (model: LlamaModel, pool: ThreadPool) {
    let pool = try threading.makePool()
    return (try loadModel(console, for: context, chat: chat, system: system), pool)
  }

  /// The same without threads.
  func loadModel(
    _ console: Console, for context: PlannedContext, chat: ChatTemplateOptions? = nil,
    system: SystemPromptOption? = nil
  ) throws -> LlamaModel {
    var options = try devices.options(console)
    options.ropeFactors = variant.ropeFactors
    options.ropeScaling = variant.scaling.value
    options.adapters = variant.lora
    try chat?.apply(to: &options, system: system)
    return try console.loadModel(path: path(), options: options, for: context)
  }

  /// The model's file, named or not.
  func path() throws -> String { try ModelDefault.path(choice.model) }
}

extension ModelOptions {
  /// Options that a command has in different places.
  init(_ choice: ModelOption, _ host: HostOptions) {
    self.init()
    (self.choice, self.host) = (choice, host)
  }
}

extension Console {
  /// Loads a model for contexts of a length, telling how far that is.
  func loadModel(
    path: String, options: LlamaModel.Options, for context: PlannedContext
  ) throws -> LlamaModel {
    defer { clear() }
    var options = options
    if options.ropeFactors == nil {
      options.ropeFactors = try context.ropeFactors(of: path, options: options)
    }
    let model = try LlamaModel.load(path: path, options: options) { fraction in
      self.progress("loading", done: Int(fraction * 100), total: 100, unit: "%")
      return true
    }
    expect(model)
    return model
  }
}

struct ThreadOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help:
      "Threads to compute with. (default: 'threads' in the configuration file, or the machine's physical cores)"
  )
  var threads: Int?

  /// What was asked for, here or in the configuration; nil for the machine's cores.
  func count() throws -> Int? { try threads ?? Configuration.shared.threads }

  func validate() throws {
    if let threads, !(1...512).contains(threads) {
      throw ValidationError("--threads is \(threads), but must be in 1...512.")
    }
    switch SIMDLevel.environmentProblem {
    case .unknown(let name):
      throw ValidationError(
        "RA_SIMD_LEVEL is '\(name)', but must be one of \(SIMDLevel.supported.map(\.rawValue)).")
    case .unsupported(let level):
      throw ValidationError(
        "RA_SIMD_LEVEL asks for \(level.rawValue), but this machine has \(SIMDLevel.supported.map(\.rawValue))."
      )
    case nil:
      break
    }
  }

  func makePool() throws -> ThreadPool {
    try ThreadPool(threadCount: count() ?? ThreadPool.defaultThreadCount)
  }
}

struct RetrievalOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What a key must be worth to be read for sure; fewer of the others are. Lower reads more and is more exact.",
      valueName: "price"))
  var tolerance: Float?

  @Option(
    help: ArgumentHelp(
      "What keys must be worth to be read for a prompt's tokens, beyond 4096 tokens; 0 reads prompts exactly.",
      valueName: "price"))
  var prefillTolerance: Float?

  @Option(help: ArgumentHelp("First tokens that are always attended to.", valueName: "tokens"))
  var sink: Int?

  @Option(help: ArgumentHelp("Last tokens that are always attended to.", valueName: "tokens"))
  var window: Int?

  @Option(help: ArgumentHelp("Mean number of keys in a cluster of the index.", valueName: "keys"))
  var clusterSize: Int?

  @Option(
    help: ArgumentHelp("Most keys that one KV head reads from the index for a token.", valueName: "keys"))
  var maximumRetrieved: Int?

  @Option(
    help: ArgumentHelp(
      "A profile that ra tune wrote: sink, window and a tolerance for each layer; none for the settings of all models. "
        + "(default: where nothing else is said of attention, the one for the model's file, if there is one)",
      valueName: "file|none"),
    completion: .file())
  var profile: String?

  /// The file of a profile that was asked for.
  var profilePath: String? { profile == "none" ? nil : profile }

  func validate() throws {
    if tolerance != nil, profilePath != nil {
      throw ValidationError("Give --tolerance or --profile, not both.")
    }
    do {
      try settings().validate()
    } catch AttentionError.invalidSetting(let name, let value, let requirement) {
      throw ValidationError("\(Self.options[name] ?? name) is \(value), but must be \(requirement).")
    } catch {
      throw ValidationError(sentence(error))
    }
  }

  /// Which option a setting of the library comes from.
  private static let options = [
    "sinkCount": "--sink", "windowCount": "--window", "clusterSize": "--cluster-size",
    "maximumRetrieved": "--maximum-retrieved", "tolerance": "--tolerance",
    "prefillTolerance": "--prefill-tolerance",
  ]

  /// Throws ``Generation/GenerationError/badProfile(path:reason:)``.
  func settings() throws -> RetrievalSettings { try applied(to: RetrievalSettings()) }

  /// The first of these options that is given, as it is written.
  var firstGiven: String? {
    if tolerance != nil { return "--tolerance" }
    if prefillTolerance != nil { return "--prefill-tolerance" }
    if sink != nil { return "--sink" }
    if window != nil { return "--window" }
    if clusterSize != nil { return "--cluster-size" }
    if profilePath != nil { return "--profile" }
    return maximumRetrieved != nil ? "--maximum-retrieved" : nil
  }

  /// Settings with what these options change.
  ///
  /// Throws ``Generation/GenerationError/badProfile(path:reason:)``.
  func applied(to original: RetrievalSettings) throws -> RetrievalSettings {
    var settings = original
    if let profilePath { settings = try RetrievalProfile(contentsOf: profilePath).applied(to: settings) }
    if let tolerance { settings.search.tolerance = tolerance }
    if let prefillTolerance { settings.prefillTolerance = prefillTolerance }
    if let maximumRetrieved { settings.search.maximumRetrieved = maximumRetrieved }
    if let sink { settings.sinkCount = sink }
    if let window { settings.windowCount = window }
    if let clusterSize { settings.build.clusterSize = clusterSize }
    return settings
  }
}

/// How keys and values are stored.
struct StoreOptions: ParsableArguments {
  @Option(
    name: .customLong("kv-type"),
    help: ArgumentHelp(
      "How keys and values are stored: f16, or q8 for half the memory; q8,f16 for keys and values.",
      valueName: "type"), completion: .list(["f16", "q8", "q8,f16"]))
  var format = KeyValueFormat()

  /// Refuses what the host's own attention does not do.
  func checkHost() throws {
    guard format != KeyValueFormat() else { return }
    throw ValidationError("--kv-type is \(format), but --attention host stores keys and values in f16.")
  }
}

extension KeyValueFormat: ExpressibleByArgument {}

/// Refuses a count of tokens that is not positive, or so large that sums of counts could overflow.
func checkCount(_ name: String, _ value: Int) throws {
  guard value > 0 else { throw ValidationError("\(name) is \(value), but must be positive.") }
  guard value <= Int(Int32.max) else {
    throw ValidationError("\(name) is \(value), but at most \(Int32.max) is possible.")
  }
}
