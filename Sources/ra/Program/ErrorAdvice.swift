// What to do about errors of the libraries, in the words of the command line: libraries know values, not options.

import Evaluation
import Generation
import LlamaHost
import RetrievalAttention
import Serving

enum ErrorAdvice {
  /// The error and what to do about it; nil where the error says everything.
  static func message(for error: any Error) -> String? {
    advice(for: error).map { advice in
      let text = "\(error)"
      return "\(text.hasSuffix(".") ? String(text.dropLast()) : text); \(advice)"
    }
  }

  private static func advice(for error: any Error) -> String? {
    switch error {
    case GenerationError.unsupportedModel:
      "'ra generate', 'ra chat' and 'ra serve' run it with --attention host"
    case GenerationError.contextTooLong(_, _, _, let factor?):
      "shorten the document, scale the model's positions with --rope-scaling yarn --rope-scale \(factor), or go on with "
        + "--allow-beyond-context"
    case GenerationError.contextTooLong: "shorten the document, or go on with --allow-beyond-context"
    case GenerationError.emptyPrompt: "give --prompt, --prompt-file or text on standard input"
    case AttentionError.insufficientMemory(_, _, let available, let eightBits?) where eightBits <= available:
      "--kv-type q8 stores them in \(formatBytes(eightBits))"
    case AttentionError.insufficientMemory: "use a shorter document or a smaller model"
    case SessionSetupError.incomplete(let path, _, _):
      "go on with 'ra ingest --resume --session \(path)' first"
    case LlamaError.notALanguageModel(_, .adapter): "give it with --lora, and that model with --model"
    case LlamaError.instructionsMissing: "build the program on this machine"
    case LlamaError.noServerBackend: "'scripts/bootstrap --backend rpc' builds it"
    case LlamaError.chatTemplateUnusable, LlamaError.chatTemplateRefused, LlamaError.chatTemplateLostMessage:
      "give another one with --chat-template, or use --raw where a command has it"
    case LlamaError.chatTemplateRewrites:
      "begin anew for every question, or give another one with --chat-template"
    case GenerationError.otherTemplate(isModelsOwn: true): "leave --chat-template out"
    case GenerationError.otherTemplate: "give it with --chat-template"
    case TaskError.lengthTooShort: "give a longer one with --lengths"
    case TaskError.fillerTooShort: "name a longer one with --filler"
    default: nil
    }
  }
}

/// A sentence that ends as one.
func sentence(_ error: any Error) -> String {
  let text = ErrorAdvice.message(for: error) ?? "\(error)"
  return text.last.map { ".!?".contains($0) } ?? false ? text : text + "."
}
