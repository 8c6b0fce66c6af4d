// What a session keeps of a conversation.

import Foundation
public import LlamaHost

extension Conversation {
  private struct State: Codable {
    var place: Place
    var raw: Bool
    var open: String
    /// Of a template that is not the model's own; sessions of earlier versions have none, and these were made with
    /// that.
    var template: String?
    var answer: Int?
  }

  private static let attribute = "conversation"

  /// What to keep with a session, in ``Session/attributes``, to continue from there.
  public var attributes: [String: String] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let state = State(
      place: place, raw: isRaw, open: openText, template: otherTemplate, answer: answerStart)
    // Strings, numbers and a flag can always be encoded.
    guard let data = try? encoder.encode(state) else { return [:] }
    return [Self.attribute: String(decoding: data, as: UTF8.self)]
  }

  /// Goes on where ``attributes`` were taken.
  ///
  /// - Throws: ``GenerationError/unknownConversation(_:)`` when they hold none that this version understands,
  ///   ``GenerationError/otherTemplate(isModelsOwn:)`` when it was begun with another chat template.
  public init(continuing attributes: [String: String], model: LlamaModel) throws {
    let text = attributes[Self.attribute] ?? ""
    guard let state = try? JSONDecoder().decode(State.self, from: Data(text.utf8)) else {
      throw GenerationError.unknownConversation(text)
    }
    try self.init(model: model, raw: state.raw)
    guard state.raw || state.template == otherTemplate else {
      throw GenerationError.otherTemplate(isModelsOwn: state.template == nil)
    }
    place = state.place
    openText = state.open
    answerStart = state.answer
  }

  /// Tells a template that is not the model's own.
  private var otherTemplate: String? { template.flatMap { $0.isModelsOwn ? nil : $0.fingerprint } }
}
