// The parts that tasks are made of: scores, random choices, filler, fitting.

import Evaluation
import Testing

@Suite struct TaskPartTests {
  @Test func scoresOfRULER() {
    let all = AnswerScoring.all
    #expect(all.score("they are abc and DEF", expected: ["ABC", "def"]) == 1)
    #expect(all.score("only abc", expected: ["abc", "def", "ghi", "jkl"]) == 0.25)
    #expect(all.score("", expected: ["abc"]) == 0)
    #expect(all.score("abc", expected: []) == 0)
    #expect(AnswerScoring.any.score("only abc", expected: ["abc", "def"]) == 1)
    #expect(AnswerScoring.any.score("none", expected: ["abc", "def"]) == 0)
  }

  @Test func scoresOfInfiniteBench() {
    let number = AnswerScoring.firstNumber
    #expect(number.score(" 71432. Remember it", expected: ["71432"]) == 1)
    #expect(number.score("7143", expected: ["71432"]) == 0)
    #expect(number.score("it is 12, not 71432", expected: ["71432"]) == 0)
    #expect(number.score("none", expected: ["71432"]) == 0)
    // Digits of other scripts are no digits here.
    #expect(number.score("\u{0661} 71432", expected: ["71432"]) == 1)
    let word = AnswerScoring.word
    #expect(word.score(" \"ab-12\".", expected: ["ab-12"]) == 1)
    #expect(word.score("ab-123", expected: ["ab-12"]) == 0)
    #expect(word.score("xab-12", expected: ["ab-12"]) == 0)
  }

  /// A decided answer keeps its score whatever follows.
  @Test(arguments: AnswerScoring.allCases) func decidedMeansDecided(scoring: AnswerScoring) {
    let whole = "the key 12345 is 71432, and no more. 9"
    for expected in [["71432"], ["12345"], ["8"], ["the", "key"]] {
      var decided: Double?
      for end in whole.indices {
        let answer = String(whole[..<end])
        let score = scoring.score(answer, expected: expected)
        if let decided { #expect(score == decided, "\(answer)") }
        if scoring.isDecided(answer, expected: expected) { decided = score }
      }
    }
    #expect(!scoring.isDecided("", expected: ["a"]))
    #expect(!scoring.isDecided("714", expected: ["71432"]))
  }

  @Test func randomChoices() {
    var random = TaskRandom(seed: 1)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7000 { counts[random.below(7)] += 1 }
    // Standard deviation 29.
    for count in counts { #expect((850...1150).contains(count)) }
    let numbers = random.distinct(50, below: 50)
    #expect(numbers.sorted() == Array(0..<50))
    #expect(numbers != Array(0..<50))
    #expect(Set(random.distinct(1000, below: 1 << 40)).count == 1000)
    var shuffled = Array(0..<100)
    random.shuffle(&shuffled)
    #expect(shuffled != Array(0..<100) && shuffled.sorted() == Array(0..<100))
    for _ in 0..<100 {
      #expect(random.digits(7).wholeMatch(of: /[1-9][0-9]{6}/) != nil)
      #expect(
        random.uuid().wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/)
          != nil)
    }
    #expect(random.letters(6).count == 6)
  }

  @Test func otherSamplesHaveOtherNumbers() {
    var firsts: Set<Int> = []
    for task in ["a", "b"] {
      for length in [1, 11] {
        for sample in [1, 11] {
          var random = TaskRandom(seed: 1, task: task, length: length, sample: sample)
          firsts.insert(random.below(1 << 40))
        }
      }
    }
    #expect(firsts.count == 8)
  }

  @Test func fillerOfTooFewWords() throws {
    #expect(throws: TaskError.fillerTooShort(words: 3, required: 200)) { try FillerText("only three words") }
    #expect(try FillerText(TaskSupport.fillerText).words.count == 2000)
    let other = try FillerText(TaskSupport.fillerText + " more")
    #expect(other.digest != (try FillerText(TaskSupport.fillerText)).digest)
  }

  /// With words for tokens, every task comes as close to the length as its units allow.
  @Test(arguments: TaskCatalog.all.map(\.name), [700, 2000, 6000])
  func fitsItsLength(name: String, length: Int) throws {
    let task = try TaskSupport.task(name)
    func count(_ sample: TaskSample) -> Int {
      sample.context.split(whereSeparator: \.isWhitespace).count + 40
    }
    var calls = 0
    let fitting = SampleFitting(task: task, length: length) {
      calls += 1
      return count($0)
    }
    let request = try TaskSupport.request(task, size: 0, length: length)
    let sample = try fitting.fit(request)
    let missing = length - task.answerTokens - count(sample)
    #expect(missing >= 0)
    // The largest unit: a needle of eleven words; the frequent words round their counts down.
    #expect(missing <= (name == "fwe" ? 40 : 12), "\(missing) tokens are missing")
    #expect(calls < 40)
    #expect(try fitting.fit(request) == sample)
  }

  @Test func lengthsThatAreTooShort() throws {
    let task = try TaskSupport.task("cwe")
    let request = try TaskSupport.request(task, size: 0, length: 130)
    #expect(throws: TaskError.lengthTooShort(task: "cwe", length: 130, needed: 1120)) {
      try SampleFitting(task: task, length: 130) { _ in 1000 }.fit(request)
    }
  }
}
