// A model's card, from the model.

import Foundation
import LlamaHost

extension ModelCard {
  /// The card of a model that is served.
  init(_ model: LlamaModel, settings: SchedulerSettings, limits: EngineLimits) {
    let file = URL(fileURLWithPath: model.description.path)
    self.init(
      id: settings.modelName ?? file.deletingPathExtension().lastPathComponent,
      contextLength: limits.contextLength, created: Date(), aliases: settings.modelAliases,
      details: ModelDetails(model, settings: settings))
  }
}

extension ModelDetails {
  /// What a model that is served is.
  init(_ model: LlamaModel, settings: SchedulerSettings, abilities: Set<Ability>? = nil) {
    let description = model.description
    let tokenizer = model.tokenizer
    func name(_ token: Int32?) -> String? {
      token.map { tokenizer.detokenize([$0], renderSpecial: true) }
    }
    self.init(
      fileName: URL(fileURLWithPath: description.path).lastPathComponent, name: description.name,
      family: description.architecture, summary: description.summary,
      parameterCount: description.parameterCount, byteCount: description.byteCount,
      vocabularySize: description.vocabularySize, embeddingWidth: description.embeddingWidth,
      trainedContextLength: description.trainedContextLength, parallel: settings.parallel,
      defaultMaximumTokens: settings.defaultMaximumTokens, chatTemplate: model.chatTemplate?.source,
      bosToken: name(tokenizer.bos), eosToken: name(tokenizer.eos),
      abilities: abilities ?? (tokenizer.infill == nil ? [.completion] : [.completion, .infill]))
  }
}
