// `--attention`: the host's, or a policy with its settings.

import ArgumentParser
import AttentionPolicies
import Evaluation
import RetrievalAttention

/// How attention is computed, as named on the command line.
enum AttentionChoice: Hashable {
  /// llama.cpp's own.
  case host
  case policy(AttentionPolicy)

  /// From `host`, `NAME` or `NAME:key=value,...`.
  init(parsing text: String) throws {
    if text == "host" {
      self = .host
      return
    }
    do {
      self = .policy(try PolicyRegistry.published.parse(text))
    } catch {
      guard case .unknownPolicy(let name, let known) = error else { throw ValidationError(sentence(error)) }
      throw ValidationError(sentence(AttentionPolicyError.unknownPolicy(name, known: known + ["host"])))
    }
  }

  static var retrieval: AttentionChoice { .policy(.retrieval(RetrievalSettings())) }

  static let help: ArgumentHelp = """
    How attention is computed: host, or NAME[:key=value,...] of the policies that ra attention list shows. \
    (default: retrieval; host, with the reason, for models whose attention cannot be taken over)
    """
}

/// Several choices after one option, separated by commas.
struct AttentionChoices {
  var elements: [AttentionChoice]

  init(_ elements: [AttentionChoice]) { self.elements = elements }

  init(parsing text: String) throws {
    elements = try PolicyRegistry.splitList(text).map { try AttentionChoice(parsing: $0) }
  }
}

extension RetrievalOptions {
  /// The policy of a choice with these options applied; nil for the host.
  ///
  /// Throws `ValidationError` for options that the policy does not have.
  func policy(_ choice: AttentionChoice) throws -> AttentionPolicy? {
    guard case .policy(let policy) = choice else { return nil }
    guard let settings = policy.retrieval else { return policy }
    let changed = try applied(to: settings)
    do {
      try changed.validate()
    } catch {
      throw ValidationError(sentence(error))
    }
    return .retrieval(changed)
  }

  /// Choices to be compared, by name. The first retrieval is called so, whatever these options say of it.
  func evaluated(_ choices: [AttentionChoice]) throws -> [EvaluatedAttention] {
    var result: [EvaluatedAttention] = []
    for choice in choices {
      let policy = try policy(choice)
      let isRetrieval = policy?.retrieval != nil && !result.contains { $0.policy?.retrieval != nil }
      result.append(
        EvaluatedAttention(
          name: isRetrieval ? RetrievalSettings.name : policy?.description ?? "host", policy: policy))
    }
    return result
  }

  /// The policy of a choice that is to be saved.
  ///
  /// Throws `ValidationError` for one that cannot be.
  func storedPolicy(_ choice: AttentionChoice, of what: String) throws -> AttentionPolicy {
    guard let policy = try policy(choice), policy == .exact || policy.retrieval != nil else {
      throw ValidationError("--attention is \(choice), but \(what) retrieval or exact.")
    }
    return policy
  }

  /// Refuses options that none of the choices has.
  func check(_ choices: [AttentionChoice]) throws {
    guard let option = firstGiven, !choices.contains(where: \.isRetrieval) else {
      for choice in choices { _ = try policy(choice) }
      return
    }
    throw ValidationError(
      "\(option) belongs to --attention retrieval; settings of others are written --attention NAME:key=value,..."
    )
  }
}

extension AttentionChoice {
  var isRetrieval: Bool {
    if case .policy(let policy) = self { policy.retrieval != nil } else { false }
  }
}

extension AttentionChoice: CustomStringConvertible {
  var description: String {
    switch self {
    case .host: "host"
    case .policy(let policy): policy.description
    }
  }
}
