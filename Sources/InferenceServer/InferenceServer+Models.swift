// What is told about the model: OpenAI's card, with llama-server's and others' fields, and llama-server's properties.

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Serving

/// Sizes of a model, under llama-server's names.
private struct ModelMeta: Encodable {
  var nVocab, nCtx, nCtxTrain, nEmbd, nParams, size: Int
  var ftype: String
  var family: String
  var name: String?

  init(_ details: ModelDetails, contextLength: Int) {
    nVocab = details.vocabularySize
    nCtx = contextLength
    nCtxTrain = details.trainedContextLength
    nEmbd = details.embeddingWidth
    nParams = details.parameterCount
    size = details.byteCount
    ftype = details.summary
    family = details.family
    name = details.name
  }
}

private struct ModelBody: Encodable {
  var id: String
  var object = "model"
  var created: Int
  var ownedBy = "local"
  var contextLength: Int
  /// vLLM's name for it.
  var maxModelLen: Int
  var aliases: [String]
  var capabilities: [String]?
  var meta: ModelMeta?

  init(_ card: ModelCard) {
    id = card.id
    created = Int(card.created.timeIntervalSince1970)
    contextLength = card.contextLength
    maxModelLen = card.contextLength
    aliases = card.aliases
    capabilities = card.details?.abilities.map(\.rawValue).sorted()
    meta = card.details.map { ModelMeta($0, contextLength: card.contextLength) }
  }
}

private struct ModelList: Encodable {
  var object = "list"
  var data: [ModelBody]
}

/// llama-server's answer to `/props`.
private struct PropertiesBody: Encodable {
  struct Parameters: Encodable {
    var nPredict: Int
    var maxTokens: Int
    var seed = UInt32.max
    var temperature = 1.0, topP = 1.0, minP = 0.05
    var topK = 0
    var repeatPenalty = 1.0, presencePenalty = 0.0, frequencyPenalty = 0.0
    var repeatLastN = 64
    var stop: [String] = []
    var stream = false
    var grammar = ""
  }

  struct Defaults: Encodable {
    var nCtx: Int
    var params: Parameters
  }

  struct Modalities: Encodable { var vision = false, video = false, audio = false }

  var defaultGenerationSettings: Defaults
  var totalSlots: Int
  var modelAlias: String
  var modelPath: String
  var modelFtype: String
  var modalities = Modalities()
  var chatTemplate, bosToken, eosToken: String
  var buildInfo = "ra"
  var isSleeping = false
  var endpointSlots = false, endpointProps = false, endpointMetrics = true
  var maximumChoices, maximumPrompts: Int

  init(_ card: ModelCard, _ details: ModelDetails, _ settings: ServerSettings) {
    let limit = details.defaultMaximumTokens
    defaultGenerationSettings = Defaults(
      nCtx: card.contextLength, params: Parameters(nPredict: limit, maxTokens: limit))
    totalSlots = details.parallel
    modelAlias = card.id
    modelPath = details.fileName
    modelFtype = details.summary
    chatTemplate = details.chatTemplate ?? ""
    bosToken = details.bosToken ?? ""
    eosToken = details.eosToken ?? ""
    maximumChoices = settings.maximumChoices
    maximumPrompts = settings.maximumPrompts
  }
}

extension InferenceServer {
  func models() -> Response { json(ModelList(data: [ModelBody(service.model)])) }

  func model(_ id: String) throws -> Response {
    guard service.model.isCalled(id.removingPercentEncoding ?? id) else {
      throw APIError.unknownModel(id, service.model)
    }
    return json(ModelBody(service.model))
  }

  func properties() throws -> Response {
    guard let details = service.model.details else {
      throw ServingError.unsupported("This server does not tell more of its model than GET /v1/models does.")
    }
    return json(PropertiesBody(service.model, details, settings))
  }
}
