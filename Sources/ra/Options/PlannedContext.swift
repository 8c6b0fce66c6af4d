// Some models have to know how long a context is to become before they are loaded.

public import ArgumentParser
public import LlamaHost

/// How long a context is to become.
enum PlannedContext {
  case tokens(Int)
  /// As long as the model was trained for.
  case trained
  /// Counted with the model's vocabulary, which is loaded alone for it.
  case counted((_ vocabulary: LlamaModel) throws -> Int)
  /// It was begun already, with these factors.
  case begun(RopeFactors?)

  /// The RoPE factors for it; nil for models that have one set, or none.
  func ropeFactors(of path: String, options: LlamaModel.Options) throws -> RopeFactors? {
    let file = try GGUFFile(validating: path)
    guard file.hasTwoRopeFactors else { return nil }
    switch self {
    case .tokens(let count): return file.ropeFactors(forContext: count)
    case .trained: return .long
    case .begun(let factors): return factors ?? .short
    case .counted(let count):
      var vocabulary = LlamaModel.Options()
      vocabulary.vocabularyOnly = true
      vocabulary.chatTemplate = options.chatTemplate
      vocabulary.chatTemplateOptions = options.chatTemplateOptions
      return file.ropeFactors(forContext: try count(LlamaModel.load(path: path, options: vocabulary)))
    }
  }
}

/// What belongs to the model besides its file.
struct VariantOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "For models with two sets of RoPE factors, such as Phi-3 128K: the set for short or for long contexts. "
        + "(default: by the length of the context)", valueName: "short|long"))
  var ropeFactors: RopeFactors?

  @OptionGroup var scaling: RopeScalingOptions

  @Option(
    help: ArgumentHelp(
      "A LoRA adapter to add to the model, and how much of it; repeatable.", valueName: "file[:scale]"),
    completion: .model, transform: LoRAAdapter.init(parsing:))
  var lora: [LoRAAdapter] = []

  /// Whether the model is as its file has it.
  var isPlain: Bool { lora.isEmpty && scaling.ropeScaling == nil }
}

extension RopeFactors: ExpressibleByArgument {}

extension LoRAAdapter {
  /// From `FILE` or `FILE:SCALE`.
  init(parsing text: String) throws {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let scale = parts.count > 1 ? Float(parts[parts.count - 1]) : nil
    let path = scale == nil ? text : parts.dropLast().joined(separator: ":")
    guard !path.isEmpty else { throw ValidationError("--lora is '\(text)', but needs a file.") }
    if let scale, !scale.isFinite {
      throw ValidationError("--lora has the scale \(scale), but it must be a finite number.")
    }
    self.init(path: path, scale: scale ?? 1)
  }
}
