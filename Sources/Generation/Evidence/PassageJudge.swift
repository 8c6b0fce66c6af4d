// Whether passages answer a question, by the model's own word.

public import Evidence
import Foundation
import LlamaHost
import RetrievalAttention

/// Asks a model whether a text answers a question, apart from everything else that it has read.
///
/// That an answer needs a passage (``EvidenceCheck``) does not tell whether it is right: an answer that was made up of
/// what the document says of something else needs that passage as well. How much more probable yes is than no tells it
/// of many models, not of the smallest ones, and from which odds on differs: `ra tune --evidence` finds out on
/// questions whose answers are known, and on the same questions with what is said of others.
public struct PassageJudge {
  private let host: GuestHost
  /// Log-odds of yes above which a passage answers a question.
  public let leastOdds: Double
  private let answers: Answers

  /// Characters that are read in moments.
  static let longest = 4000

  /// - Parameter leastOdds: as ``EvidenceProfile/leastOdds``.
  public init(host: GuestHost, leastOdds: Double) throws {
    self.host = host
    self.leastOdds = leastOdds
    answers = try Answers(host.model.tokenizer)
  }

  /// Natural logarithm of how much more probable yes is than no to the question whether `text` answers `question`.
  ///
  /// - Throws: what templates and runners throw.
  public func odds(that text: String, answers question: String) throws -> Double {
    let asked = """
      Text: "\(text)"

      Question: \(question)

      Does the text answer this question, yes or no?
      """
    var conversation = try Conversation(model: host.model)
    // The user's system message is for other questions.
    conversation.template?.options = ChatTemplate.Options()
    var request = ChatRequest([ChatMessage(role: .user, content: asked)])
    request.enableThinking = false
    let prompt = try conversation.ask(request)
    let runner = try GuestRunner(host: host, policy: .exact, plannedTokens: prompt.count + 1)
    let row = try runner.prefill(prompt, progress: nil).last
    return answers.odds { Double(row[Int($0)]) }
  }

  /// Whether `text` answers `question`; nil where both together have more than 4,000 characters, and are not read: an
  /// answer of so many passages, as a summary, is not the answer to a question of the kind that odds are known of. Nil
  /// as well for vocabularies in which yes and no begin alike.
  ///
  /// - Throws: as ``odds(that:answers:)``.
  public func says(that text: String, answers question: String) throws -> Bool? {
    guard text.count + question.count <= Self.longest, answers.areApart else { return nil }
    return try odds(that: text, answers: question) > leastOdds
  }

  /// First tokens of the words in which models say yes or no.
  struct Answers {
    let yes: [Int32]
    let no: [Int32]

    init(_ tokenizer: Tokenizer) throws {
      func first(_ words: [String]) throws -> [Int32] {
        let tokens = try words.flatMap {
          try tokenizer.tokenize($0, addSpecial: false, parseSpecial: false).prefix(1)
        }
        return Array(Set(tokens))
      }
      let (yes, no) = try (first(["Yes", "yes", " Yes", " yes"]), first(["No", "no", " No", " no"]))
      // Vocabularies that begin all words with the same token tell nothing.
      self.yes = yes.filter { !no.contains($0) }
      self.no = no.filter { !yes.contains($0) }
    }

    /// Whether there are tokens of either.
    var areApart: Bool { !yes.isEmpty && !no.isEmpty }

    /// Log-odds of yes; 0 where the two are not apart.
    func odds(_ logit: (Int32) -> Double) -> Double {
      guard areApart else { return 0 }
      func logSum(_ tokens: [Int32]) -> Double {
        let logits = tokens.map(logit)
        let highest = logits.max() ?? 0
        return highest + log(logits.reduce(0) { $0 + exp($1 - highest) })
      }
      return logSum(yes) - logSum(no)
    }
  }
}

extension AnswerEvidence {
  /// The passages of all citations, each once, in the order of the documents, with the documents' names above them.
  public func passages(in sources: EvidenceSources) -> String {
    var lines: [String] = []
    var last: Citation?
    for citation in citations.sorted(by: {
      ($0.document, $0.documentBytes.lowerBound) < ($1.document, $1.documentBytes.lowerBound)
    }) where last?.document != citation.document || last?.documentBytes != citation.documentBytes {
      if last?.document != citation.document { lines.append("\(sources.documents[citation.document].name):") }
      lines.append(citation.quote)
      last = citation
    }
    return lines.joined(separator: "\n")
  }

  /// The same with no citation, where the model says that all of them together do not answer the question.
  ///
  /// - Throws: as ``PassageJudge/says(that:answers:)``.
  public func judged(
    by judge: PassageJudge, question: String, in sources: EvidenceSources
  ) throws -> AnswerEvidence {
    guard !citations.isEmpty, try judge.says(that: passages(in: sources), answers: question) == false else {
      return self
    }
    return withoutCitations
  }

  /// The same with no citation.
  var withoutCitations: AnswerEvidence {
    var result = self
    for index in result.sentences.indices { result.sentences[index].citations = [] }
    return result
  }
}
