// How messages become the prompt that a model was trained for.

import ArgumentParser
import Foundation
import Generation
import LlamaHost

struct ChatTemplateOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A chat template in place of the model's own: a file (Jinja), the name of another one that the model has, such as "
        + "tool_use, or chatml.", valueName: "file|name"),
    completion: .file())
  var chatTemplate: String?

  @Option(
    help: ArgumentHelp(
      "Variables for the chat template, such as '{\"enable_thinking\": false}'.", valueName: "json"))
  var chatTemplateKwargs: String?

  @Option(
    help: ArgumentHelp(
      "on, off, or hide: whether a model that can think before it answers does, and whether its thoughts are shown. "
        + "(default: what its chat template does)", valueName: "mode"))
  var reasoning: ReasoningMode?

  @Option(help: ArgumentHelp("Most tokens of thoughts; the answer follows then.", valueName: "tokens"))
  var reasoningBudget: Int?

  /// Whether thoughts are for the reader.
  var showsReasoning: Bool { reasoning != .hide }

  func validate() throws {
    if let reasoningBudget, reasoningBudget < 0 {
      throw ValidationError("--reasoning-budget is \(reasoningBudget), but must not be negative.")
    }
    guard let chatTemplateKwargs else { return }
    let value = try? JSONSerialization.jsonObject(with: Data(chatTemplateKwargs.utf8))
    guard value is [String: Any] else {
      throw ValidationError("--chat-template-kwargs is '\(chatTemplateKwargs)', but must be a JSON object.")
    }
  }

  /// Refuses these options where texts go to the model as they are.
  func check(raw: Bool, system: SystemPromptOption) throws {
    guard raw else { return }
    let given = [
      ("--chat-template", chatTemplate), ("--chat-template-kwargs", chatTemplateKwargs),
      ("--system", system.system),
    ]
    if let (name, _) = given.first(where: { $0.1 != nil }) {
      throw ValidationError("Give \(name) or --raw, not both: --raw uses no chat template.")
    }
  }

  /// The template that was given: a file, if there is one; a plain word that is no file is the name of one.
  func choice() throws -> ChatTemplate.Choice? {
    guard let chatTemplate else { return nil }
    let isName = chatTemplate.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
    if isName, !FileManager.default.fileExists(atPath: chatTemplate) { return .named(chatTemplate) }
    return .source(try TextFile.read(chatTemplate))
  }

  /// Reads the template for a model that is to be loaded.
  func apply(to options: inout LlamaModel.Options, system: SystemPromptOption?) throws {
    options.chatTemplate = try choice()
    options.chatTemplateOptions = ChatTemplate.Options(
      systemPrompt: system?.system,
      enableThinking: reasoning.flatMap { $0 == .on ? true : $0 == .off ? false : nil },
      arguments: chatTemplateKwargs, reasoningBudget: reasoningBudget, showsReasoning: showsReasoning)
  }
}

/// Whether a model thinks before it answers.
enum ReasoningMode: String, ExpressibleByArgument, CaseIterable {
  case on, off, hide
}

struct SystemPromptOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What the model is told before everything. (default: what its chat template says)", valueName: "text"))
  var system: String?
}

/// What is known of a model's chat template once the model is loaded.
extension LlamaModel {
  /// Tells a template that cannot be used, and options for one that is not there.
  func checkChatTemplate() throws {
    guard let chatTemplate else {
      if chatTemplateOptions != ChatTemplate.Options() { throw CommandError.noChatTemplate }
      return
    }
    try chatTemplate.check()
  }
}
