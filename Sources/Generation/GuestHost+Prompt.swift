// Prompts that the model's devices attend to themselves: what is quadratic in the context goes where the arithmetic is.

import AttentionKernels
public import LlamaHost
import RetrievalAttention

/// How a prompt was read.
public struct PromptReading: Sendable, Hashable, Encodable {
  /// What devices held meanwhile, keys and values of the prompt among it; empty when they did not attend to it. All but
  /// what they held before was given back.
  public internal(set) var memory: [DeviceMemoryUse] = []
  /// What they did.
  public internal(set) var activity = PromptActivity()
  /// Why they did not, though they were to.
  public internal(set) var refusal: String?
}

/// Which layers devices do something for.
package enum DevicePlacement: Sendable {
  /// Those that are on devices, as far as the model's options say so.
  case devices
  /// All of them, those on the CPU by the CPU's own back end; for tests. At most so many bytes of a prompt's keys and
  /// values.
  case anywhere(limit: Int?)

  var isAnywhere: Bool { if case .anywhere = self { true } else { false } }
}

extension GuestHost {
  /// Memory of devices for a prompt that ends at `end`, nil where the CPU is to attend: when no layer is on a device,
  /// for policies that have to see more, for a short one, or when devices have not the room, which ``promptReading``
  /// tells.
  ///
  /// - Parameter tokenCount: tokens that are still to be read.
  func devicePrompt(of tokenCount: Int, endingAt end: Int, engine: AttentionEngine) throws -> DevicePrompt? {
    guard placement.isAnywhere || model.readsPromptsOnDevices && context.hasDeviceLayers,
      tokenCount > min(context.batchCapacity, Self.shortPrompt), engine.takesInAttendedPrompts
    else { return nil }
    promptReading = PromptReading()
    if takeover.isHybrid {
      promptReading.refusal = Self.hybridRefusal
      return nil
    }
    let limit: Int? = if case .anywhere(let limit) = placement { limit } else { nil }
    do {
      let prompt = try DevicePrompt(end: end, context: context, anywhere: placement.isAnywhere, limit: limit)
      promptReading.memory = prompt.memory
      prompt.owner = ObjectIdentifier(engine)
      return prompt
    } catch let error as LlamaError {
      promptReading.refusal = "\(error)"
      return nil
    }
  }

  /// Questions are this short: sending a context's keys and values to devices for one would take longer.
  static let shortPrompt = 64

  /// Why devices attend to nothing of hybrid models.
  static let hybridRefusal = "beside recurrent layers attention is computed by the CPU"
}
