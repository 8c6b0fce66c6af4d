// RULER's needles in a haystack: sentences that say which value belongs to which key (arXiv 2404.06654, section 3).

/// Hides `The special magic number for KEY is VALUE` and asks for values.
///
/// All eight of RULER's variants are settings of this one task, and so is a grid of needles at even depths.
package struct NeedleTask: EvaluationTask {
  enum Hay: Sendable { case noise, text, needles }
  enum Kind: String, Sendable { case words, numbers, uuids }
  /// How many questions the needles give.
  enum Asking: Sendable {
    /// One for each key, up to the number asked for: with one question, RULER's.
    case eachKey
    /// One for each key, always: a grid has to be whole.
    case everyKey
    /// One for all keys together.
    case together
  }

  package let name: String
  package let summary: String
  package let answerTokens: Int
  var hay: Hay
  var keyKind = Kind.words
  var valueKind = Kind.numbers
  var keyCount = 1
  var valuesPerKey = 1
  var asking = Asking.eachKey
  /// Depths spread evenly instead of drawn.
  var hasEvenDepths = false

  package var scoring: AnswerScoring { .all }
  package var usesFiller: Bool { hay == .text }

  /// RULER draws depths from so many even steps.
  private static let depthSteps = 40

  init(
    _ name: String, _ summary: String, hay: Hay, answerTokens: Int = 128,
    configure: (inout NeedleTask) -> Void = { _ in }
  ) {
    self.name = name
    self.summary = summary
    self.hay = hay
    self.answerTokens = answerTokens
    configure(&self)
  }

  /// RULER's eight and the grid.
  static let variants: [NeedleTask] = [
    NeedleTask("niah_single_1", "one number in noise", hay: .noise),
    NeedleTask("niah_single_2", "one number in a text", hay: .text),
    NeedleTask("niah_single_3", "one UUID in a text", hay: .text) { $0.valueKind = .uuids },
    NeedleTask("niah_multikey_1", "one of four numbers in a text", hay: .text) { $0.keyCount = 4 },
    NeedleTask("niah_multikey_2", "one number among needles only", hay: .needles),
    NeedleTask("niah_multikey_3", "one UUID for a UUID among needles only", hay: .needles) {
      ($0.keyKind, $0.valueKind) = (.uuids, .uuids)
    },
    NeedleTask("niah_multivalue", "all four numbers of one key in a text", hay: .text) {
      $0.valuesPerKey = 4
    },
    NeedleTask("niah_multiquery", "the numbers of four keys in a text", hay: .text) {
      ($0.keyCount, $0.asking) = (4, .together)
    },
    NeedleTask(
      "needle_grid", "ten numbers at ten depths of a text, each asked for", hay: .text, answerTokens: 32
    ) {
      ($0.keyCount, $0.asking, $0.hasEvenDepths) = (10, .everyKey, true)
    },
  ]

  package func sample(_ request: TaskRequest) -> TaskSample {
    var random = request.random
    let known = hay == .needles ? max(1, request.size) : keyCount
    let keys = drawKeys(known, random: &random)
    var values: [[String]] = []
    for _ in keys { values.append((0..<valuesPerKey).map { _ in draw(valueKind, random: &random) }) }
    let needles = keys.indices.flatMap { key in
      values[key].map { "One of the special magic \(valueKind.rawValue) for \(keys[key]) is: \($0)." }
    }
    let haystack = hide(needles, request: request, random: &random)
    let context = """
      Some special magic \(valueKind.rawValue) are hidden within the following text. Make sure to memorize them. I \
      will quiz you about the \(valueKind.rawValue) afterwards.
      \(haystack.text)
      """
    let asked: [[Int]] =
      switch asking {
      case .together: [Array(keys.indices)]
      case .everyKey: keys.indices.map { [$0] }
      case .eachKey:
        random.distinct(min(keys.count, max(1, request.questions)), below: keys.count).map { [$0] }
      }
    return TaskSample(
      context: context,
      questions: asked.map { chosen in
        let isOne = chosen.count == 1 && valuesPerKey == 1
        return question(
          keys: chosen.map { keys[$0] }, expected: chosen.flatMap { values[$0] },
          depth: isOne ? haystack.depths[chosen[0]] : nil)
      })
  }

  private func hide(_ needles: [String], request: TaskRequest, random: inout TaskRandom) -> Haystack {
    switch hay {
    case .needles:
      return Haystack(pieces: [], needles: needles.map { (text: $0, place: 0) }, separator: "\n")
    case .noise:
      let places = needles.map { _ in random.below(request.size + 1) }
      return Haystack(
        pieces: Haystack.noiseSentences(request.size),
        needles: zip(needles, places).map { (text: $0, place: $1) })
    case .text:
      let depths =
        hasEvenDepths
        ? needles.indices.map { (Double($0) + 0.5) / Double(needles.count) }
        : random.distinct(needles.count, below: Self.depthSteps).map {
          Double($0) / Double(Self.depthSteps - 1)
        }
      return Haystack(
        excerpt: request.filler.excerpt(request.size, random: &random), needles: needles, depths: depths)
    }
  }

  private func drawKeys(_ count: Int, random: inout TaskRandom) -> [String] {
    switch keyKind {
    case .words, .numbers: TaskWords.keys(count, random: &random)
    case .uuids: (0..<count).map { _ in random.uuid() }
    }
  }

  private func draw(_ kind: Kind, random: inout TaskRandom) -> String {
    switch kind {
    case .words: TaskWords.keys(1, random: &random)[0]
    case .numbers: random.digits(7)
    case .uuids: random.uuid()
    }
  }

  /// RULER's wording: singular for one value, plural for several.
  private func question(keys: [String], expected: [String], depth: Double?) -> TaskQuestion {
    let isOne = expected.count == 1
    let kind = isOne ? String(valueKind.rawValue.dropLast()) : valueKind.rawValue
    let list =
      keys.count < 2
      ? keys.joined() : keys.dropLast().joined(separator: ", ") + ", and \(keys[keys.count - 1])"
    let subject = "special magic \(kind) for \(list) mentioned in the provided text"
    return TaskQuestion(
      text: isOne ? "What is the \(subject)?" : "What are all the \(subject)?",
      answerPrefix: "The \(subject) \(isOne ? "is" : "are")", expected: expected, depth: depth)
  }
}
