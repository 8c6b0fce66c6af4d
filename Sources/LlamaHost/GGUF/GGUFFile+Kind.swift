// What a file in this format holds: not all of them are language models.

extension GGUFFile {
  /// What a file is for.
  public enum Kind: Sendable, Equatable {
    /// Weights of a language model, or its vocabulary.
    case model
    /// Changes to the weights of another one.
    case adapter
    /// What turns images or sounds into embeddings for another one.
    case projector
    /// Anything else, as the file calls it.
    case other(String)

    var description: String {
      switch self {
      case .model: "a language model"
      case .adapter: "a LoRA adapter"
      case .projector: "a projector for images or sounds"
      case .other(let name): "a file of the type \(name)"
      }
    }
  }

  /// By `general.type`, or the architecture that projectors have.
  public var kind: Kind {
    switch (string("general.type") ?? "model", architecture) {
    case ("adapter", _): .adapter
    case ("mmproj", _), (_, "clip"): .projector
    case ("model", _), ("vocab", _): .model
    case (let other, _): .other(other)
    }
  }
}
