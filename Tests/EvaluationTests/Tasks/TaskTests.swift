// Every task: what it asks must stand in its context, and nothing may depend on anything but the seed.

import Evaluation
import Foundation
import Testing

@Suite struct TaskTests {
  static let names = TaskCatalog.all.map(\.name)

  @Test(arguments: names) func dependsOnTheSeedAlone(name: String) throws {
    let task = try TaskSupport.task(name)
    let first = task.sample(try TaskSupport.request(task, size: 100))
    #expect(task.sample(try TaskSupport.request(task, size: 100)) == first)
    #expect(task.sample(try TaskSupport.request(task, size: 100, seed: 8)) != first)
    #expect(!first.questions.isEmpty)
    for question in first.questions { #expect(!question.expected.isEmpty && !question.text.isEmpty) }
  }

  /// The same on every machine and with every version of Swift: recorded once.
  @Test func goldenSamples() throws {
    var digests: [String: String] = [:]
    for name in Self.names { digests[name] = TaskSupport.digest(try TaskSupport.sample(name, size: 120)) }
    #expect(
      digests == [
        "cwe": "ddb418d376a76139",
        "fwe": "444138baad6e66e2",
        "kv_retrieval": "632ef81f515da261",
        "needle_grid": "ad28481fb7098e6c",
        "niah_multikey_1": "1d6c82a323c63caf",
        "niah_multikey_2": "c10c3727887bb7fb",
        "niah_multikey_3": "40e0b2f45ed452a8",
        "niah_multiquery": "8966b883d6a84bd8",
        "niah_multivalue": "71c085a5c902fdbb",
        "niah_single_1": "36e0a83d9c3dd706",
        "niah_single_2": "6f02b35f9ab855ba",
        "niah_single_3": "cc5c1320ee615c44",
        "number_string": "5e64b8a29443a25e",
        "passkey": "add36015b4e46a7b",
        "vt": "9f617906a854f715",
      ])
  }

  @Test(arguments: names) func growsWithItsSize(name: String) throws {
    var last = -1
    // The frequent words need a hundred to be told apart.
    for size in [100, 101, 140, 200, 400] {
      let length = try TaskSupport.sample(name, size: size).context.utf8.count
      #expect(length >= last, "size \(size)")
      last = length
    }
    let shortest = try TaskSupport.sample(name, size: 0)
    #expect(shortest.context.utf8.count < last)
    #expect(!shortest.questions.isEmpty)
  }

  /// Answers other than those to be counted or computed stand in the context, where the depth says.
  @Test(arguments: names) func answersStandInTheContext(name: String) throws {
    let sample = try TaskSupport.sample(name, size: 1500)
    for question in sample.questions {
      for expected in question.expected {
        let place = try #require(sample.context.range(of: expected), "\(expected)")
        guard let depth = question.depth else { continue }
        let start = sample.context[..<place.lowerBound].utf8.count
        let actual = Double(start) / Double(sample.context.utf8.count)
        // The depth is that of the whole needle, in the context without instructions.
        #expect(abs(actual - depth) < 0.05, "\(depth) but \(actual)")
      }
    }
  }

  @Test func needlesOfASingleKey() throws {
    for (name, length) in [("niah_single_1", 7), ("niah_single_2", 7), ("niah_single_3", 36)] {
      let sample = try TaskSupport.sample(name, size: 300)
      #expect(sample.questions.count == 1)
      let question = sample.questions[0]
      #expect(question.expected.map(\.count) == [length])
      #expect(sample.context.components(separatedBy: "One of the special magic").count == 2)
      #expect(question.text.hasPrefix("What is the special magic"))
      // The key in the question is the needle's.
      let key = question.text.split(separator: " for ")[1].split(separator: " ")[0]
      #expect(sample.context.contains(" for \(key) is: \(question.expected[0])."))
    }
  }

  @Test func severalKeysAndValues() throws {
    let multikey = try TaskSupport.sample("niah_multikey_1", size: 300, questions: 10)
    #expect(multikey.questions.count == 4)
    #expect(Set(multikey.questions.map(\.text)).count == 4)
    #expect(try TaskSupport.sample("niah_multikey_1", size: 300, questions: 1).questions.count == 1)

    let multivalue = try TaskSupport.sample("niah_multivalue", size: 300)
    #expect(multivalue.questions.count == 1)
    #expect(Set(multivalue.questions[0].expected).count == 4)
    #expect(multivalue.questions[0].text.hasPrefix("What are all the special magic numbers for"))

    let multiquery = try TaskSupport.sample("niah_multiquery", size: 300)
    #expect(multiquery.questions.map(\.expected.count) == [4])
    #expect(multiquery.questions[0].text.contains(", and "))

    let grid = try TaskSupport.sample("needle_grid", size: 1500, questions: 1)
    #expect(grid.questions.count == 10)
    for (number, question) in grid.questions.enumerated() {
      // A needle misses its depth by half a sentence, and by the needles before it.
      #expect(abs((question.depth ?? -1) - (Double(number) + 0.5) / 10) < 0.03)
    }
  }

  @Test func haystacksOfNeedles() throws {
    for (name, size) in [("niah_multikey_2", 60), ("niah_multikey_3", 60)] {
      let sample = try TaskSupport.sample(name, size: size, questions: 5)
      let needles = sample.context.split(separator: "\n").dropFirst()
      #expect(needles.count == size)
      #expect(Set(needles).count == size)
      #expect(sample.questions.count == 5)
      #expect(Set(sample.questions.map(\.expected)).count == 5)
    }
    // More keys than pairs of words.
    let many = try TaskSupport.sample("niah_multikey_2", size: 20_000)
    #expect(Set(many.context.split(separator: "\n").map { $0.split(separator: " is:")[0] }).count == 20_001)
  }

  @Test func variablesFollowFromEachOther() throws {
    let sample = try TaskSupport.sample("vt", size: 60)
    let question = sample.questions[0]
    #expect(question.expected.count == 5)
    let value = try #require(question.text.split(separator: " ").first { Int($0) != nil })
    // Resolve every assignment of the part after the example.
    let text = try #require(sample.context.components(separatedBy: "Memorize and track").last)
    var values: [Substring: Substring] = [:]
    for match in text.matches(of: /VAR ([A-Z]+) = (?:VAR ([A-Z]+)|([0-9]+))\./) {
      if let name = match.2 {
        #expect(values.keys.contains(name), "\(name) is used before it has a value")
        values[match.1] = values[name]
      } else {
        values[match.1] = match.3
      }
    }
    #expect(Set(values.filter { $0.value == value }.map { String($0.key) }) == Set(question.expected))
    #expect(question.expected.allSatisfy { $0.count == 5 })
    // The worked example is solved in front.
    #expect(sample.context.contains("they are:"))
  }

  @Test(arguments: [(4096, 30, 3), (2048, 6, 1)])
  func commonWordsAreCommon(length: Int, common: Int, others: Int) throws {
    let sample = try TaskSupport.sample("cwe", size: 200, length: length)
    let list = try #require(sample.context.components(separatedBy: "Below is a numbered list").last)
    var counts: [Substring: Int] = [:]
    for match in list.matches(of: /[0-9]+\. ([a-z]+)/) { counts[match.1, default: 0] += 1 }
    let expected = Set(sample.questions[0].expected)
    #expect(expected.count == 10)
    for word in expected { #expect(counts[Substring(word)] == common) }
    for (word, count) in counts where !expected.contains(String(word)) { #expect(count <= others) }
    #expect(counts.values.reduce(0, +) == 10 * common + 200)
  }

  @Test func frequentWordsAreFrequent() throws {
    let sample = try TaskSupport.sample("fwe", size: 2000)
    let text = try #require(sample.context.split(separator: "\n").last)
    var counts: [Substring: Int] = [:]
    for word in text.split(separator: " ") { counts[word, default: 0] += 1 }
    let ranked = counts.sorted { $0.value > $1.value }
    #expect(ranked[0].key == "...")
    #expect(ranked[1...3].map { String($0.key) } == sample.questions[0].expected)
    // 1 / (zeta(2) * rank^2) of 2000.
    #expect(ranked[0...4].map(\.value) == [1215, 303, 135, 75, 48])
  }

  @Test func hiddenNumbers() throws {
    let key = try TaskSupport.sample("passkey", size: 50).questions[0]
    #expect(key.expected[0].count == 5)
    let digits = Array(try TaskSupport.sample("number_string", size: 50).questions[0].expected[0])
    #expect(digits.count == 10)
    // Five runs or fewer: repeats stand beside each other.
    #expect(zip(digits, digits.dropFirst()).count { $0 != $1 } <= 4)
  }

  @Test func keyValuePairsAreJSON() throws {
    let sample = try TaskSupport.sample("kv_retrieval", size: 40, questions: 6)
    let start = try #require(sample.context.firstIndex(of: "{"))
    let object = try JSONDecoder().decode([String: String].self, from: Data(sample.context[start...].utf8))
    #expect(object.count == 40)
    #expect(sample.questions.count == 6)
    for question in sample.questions {
      let key = question.text.dropFirst("Key: \"".count).dropLast()
      #expect(object[String(key)] == question.expected[0])
    }
  }

  @Test func catalog() throws {
    #expect(try TaskCatalog.tasks(named: ["ruler"]).count == 11)
    #expect(try TaskCatalog.tasks(named: ["infinitebench", "passkey"]).map(\.name).count == 3)
    #expect(try TaskCatalog.tasks(named: ["all"]).count == TaskCatalog.all.count)
    #expect(throws: TaskError.self) { try TaskCatalog.tasks(named: ["niah"]) }
    #expect(Set(TaskCatalog.all.map(\.name)).count == TaskCatalog.all.count)
  }
}
