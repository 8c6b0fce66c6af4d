// Facts hidden in a text, of which it is known where each is.

/// A question whose answer is in one sentence or two of a text, or in none.
package struct HiddenFact: Sendable, Hashable {
  /// The sentences that the answer follows from, as they stand in the text; none for what the text does not tell.
  package var sentences: [String]
  package var question: String
  /// What the answer must have in it.
  package var value: String
  /// A sentence that answers the question.
  package var answer: String
}

/// A text with facts in it, generated from a seed.
package struct HiddenFacts: Sendable {
  package var text: String
  package var facts: [HiddenFact]

  /// What facts are to be made.
  package struct Request: Sendable {
    /// Words of filler.
    package var words: Int
    /// Facts of one sentence, facts of two that lie apart, and questions that the text does not answer.
    package var single: Int
    package var double: Int
    package var absent: Int

    package init(words: Int, single: Int, double: Int, absent: Int = 0) {
      (self.words, self.single, self.double, self.absent) = (words, single, double, absent)
    }
  }

  package init(_ request: Request, filler: FillerText, random: inout TaskRandom) {
    var names = Names(count: 2 * (request.single + request.double + request.absent) + 2, random: &random)
    let single = (0..<request.single).map { Self.single($0, &names, &random) }
    let double = (0..<request.double).map { _ in Self.double(&names, &random) }
    let absent = (0..<request.absent).map { number in
      var fact = Self.single(number, &names, &random)
      fact.sentences = []
      return fact
    }
    facts = single + double + absent
    var needles = facts.flatMap(\.sentences)
    random.shuffle(&needles)
    let depths = needles.indices.map { (Double($0) + 0.5) / Double(max(1, needles.count)) }
    text =
      Haystack(
        excerpt: filler.excerpt(request.words, random: &random), needles: needles, depths: depths
      ).text
  }

  /// Facts of one sentence, each with another of the same kind: what answers a question, and what only looks like it.
  static func pairs(_ count: Int, random: inout TaskRandom) -> [(fact: HiddenFact, other: HiddenFact)] {
    var names = Names(count: 2 * count, random: &random)
    return (0..<count).map { (single($0, &names, &random), single($0, &names, &random)) }
  }

  /// People and things, no two of the same name.
  private struct Names {
    private var people: [String]
    private var things: [String]

    init(count: Int, random: inout TaskRandom) {
      let pairs = HiddenFacts.firstNames.count * HiddenFacts.lastNames.count
      people = random.distinct(min(count, pairs), below: pairs).map {
        let (first, last) = $0.quotientAndRemainder(dividingBy: HiddenFacts.lastNames.count)
        return "\(HiddenFacts.firstNames[first]) \(HiddenFacts.lastNames[last])"
      }
      things = TaskWords.keys(count, random: &random).map { $0.split(separator: "-").joined(separator: " ") }
    }

    mutating func person() -> String { people.popLast() ?? "Nobody" }
    mutating func thing() -> String { things.popLast() ?? "nothing" }
  }

  private static func single(_ kind: Int, _ names: inout Names, _ random: inout TaskRandom) -> HiddenFact {
    let thing = names.thing()
    func fact(_ sentence: String, _ question: String, _ value: String) -> HiddenFact {
      HiddenFact(sentences: [sentence], question: question, value: value, answer: sentence)
    }
    switch kind % 5 {
    case 0:
      let value = random.letters(7)
      return fact(
        "The password of the \(thing) is \(value).", "What is the password of the \(thing)?", value)
    case 1:
      let (person, value) = (names.person(), random.pick(pets))
      return fact(
        "\(person) keeps a \(value) in the garden behind the house.",
        "Which animal does \(person) keep in the garden?", value)
    case 2:
      let value = random.digits(4)
      return fact(
        "The \(thing) was sold for \(value) pounds at the auction.",
        "For how many pounds was the \(thing) sold?", value)
    case 3:
      let (person, value) = (names.person(), random.pick(cities))
      return fact(
        "\(person) was born in \(value) and moved away as a child.", "Where was \(person) born?", value)
    default:
      let value = random.digits(3)
      return fact(
        "The meeting about the \(thing) takes place in room \(value).",
        "In which room does the meeting about the \(thing) take place?", value)
    }
  }

  private static func double(_ names: inout Names, _ random: inout TaskRandom) -> HiddenFact {
    let (person, value) = (names.person(), random.pick(cities))
    let company = names.thing().split(separator: " ").map(\.capitalized).joined(separator: " ")
    return HiddenFact(
      sentences: [
        "\(person) works for a company that is called \(company).",
        "The office of \(company) is in \(value), next to the station.",
      ], question: "In which city is the office of the company that \(person) works for?", value: value,
      answer: "\(person) works for \(company), whose office is in \(value).")
  }

  private static let firstNames = [
    "Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jakob", "Klara", "Leon",
    "Marta",
    "Nils", "Olga", "Peter", "Rosa", "Stefan", "Tessa", "Viktor",
  ]
  private static let lastNames = [
    "Abbott", "Becker", "Castro", "Dalton", "Ekström", "Fischer", "Garcia", "Hansen", "Ivanov", "Jensen",
    "Keller",
    "Lindgren", "Moreau", "Novak", "Olsen", "Pereira", "Rossi", "Schmidt", "Tanaka", "Weber",
  ]
  private static let pets = [
    "tortoise", "peacock", "donkey", "goat", "rabbit", "parrot", "hedgehog", "pony", "goose", "llama",
  ]
  private static let cities = [
    "Lisbon", "Vienna", "Oslo", "Prague", "Dublin", "Warsaw", "Athens", "Geneva", "Cairo", "Toronto",
    "Sydney",
    "Havana",
  ]
}
