// Results in numbers that fit in a table: one row for each attention and length.

import Foundation

/// What an evaluation found, by attention and length.
public struct EvaluationSummary: Sendable, Codable {
  /// One attention at one length.
  public struct Row: Sendable, Codable {
    /// The attention's name.
    public var attention: String
    /// Tokens of contexts with what is asked.
    public var length: Int
    /// Questions that were answered.
    public var questions: Int
    /// Mean over tasks of each task's mean score; nil without answers.
    public var accuracy: Double?
    /// Mean score of each task.
    public var tasks: [String: Double]
    /// Mean divergence from exact attention, in nats; nil when not measured.
    public var meanKL: Double?
    /// Share of tokens, 0...1, with the same best one as exact attention; nil when not measured.
    public var top1: Double?
    /// Of the text that was decoded; nil when not measured.
    public var perplexity: Double?
    /// Perplexity less that of exact attention.
    public var perplexityDifference: Double?
    /// Mean over heads.
    public var outputError: Double?
    /// Mean share of the softmax mass that the keys read have, 0...1.
    public var recoveredMass: Double?
    /// Median over answers, or of the fidelity text without answers.
    public var millisecondsPerToken: Double?
    /// Mean over answers, or of the fidelity text without answers; nil for the host.
    public var bytesPerToken: Double?
    /// See ``RetrievalAttention/ReadStatistics/keysRead``; nil for the host.
    public var keysRead: Double?
    /// The same with sink and window.
    public var keysReadWithStatic: Double?
    /// Median seconds of reading a context, its index included; nil without answers.
    public var prefillSeconds: Double?
    /// Mean share of the keys that tokens of contexts read; nil for the host and without answers.
    public var promptKeysRead: Double?
  }

  /// What was run.
  public var header: EvaluationHeader
  /// What the answers say of each attention beside the one that computes everything; empty without that.
  public var verdicts: [EvaluationVerdict]
  /// In the order of ``attentions``, then of lengths.
  public var rows: [Row]
  /// Their names, in the order of the settings.
  public var attentions: [String]
  /// Their names, in the order of the settings.
  public var tasks: [String]
  /// Ascending.
  public var lengths: [Int]

  /// - Parameter order: attentions that come first, such as those of the command line.
  public init(_ results: EvaluationResults, order: [String] = []) {
    header = results.header
    let found = Self.distinct(results.fidelity.map(\.attention) + results.answers.map(\.attention))
    attentions = Self.distinct(order.filter(found.contains) + found)
    tasks = Self.distinct(results.answers.map(\.task))
    lengths = Set(results.fidelity.map(\.length) + results.answers.map(\.length)).sorted()
    let names = attentions
    verdicts =
      Self.reference(of: names).map { reference in
        names.compactMap { EvaluationVerdict($0, reference: reference, results) }
      } ?? []
    rows = []
    for attention in attentions {
      for length in lengths {
        let answers = results.answers.filter { $0.attention == attention && $0.length == length }
        let fidelity = results.fidelity.first { $0.attention == attention && $0.length == length }
        guard !answers.isEmpty || fidelity != nil else { continue }
        rows.append(Row(attention: attention, length: length, answers: answers, fidelity: fidelity))
      }
    }
  }

  static func distinct(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }

  static func mean(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
  }
}

extension EvaluationSummary.Row {
  init(attention: String, length: Int, answers: [AnswerRecord], fidelity: FidelityRecord?) {
    let mean = EvaluationSummary.mean
    self.attention = attention
    self.length = length
    questions = answers.count
    tasks = Dictionary(grouping: answers, by: \.task).compactMapValues { mean($0.map(\.score)) }
    // Every task counts alike, however many questions it has.
    accuracy = mean(tasks.sorted { $0.key < $1.key }.map(\.value))
    meanKL = fidelity?.meanKL
    top1 = fidelity?.top1
    perplexity = fidelity?.perplexity
    perplexityDifference = fidelity.map { $0.perplexity - $0.referencePerplexity }
    outputError = fidelity?.heads.flatMap { HeadErrors.mean($0.outputError) }
    recoveredMass = fidelity?.heads.flatMap { HeadErrors.mean($0.recoveredMass) }
    millisecondsPerToken =
      TimeSpread(answers.compactMap(\.millisecondsPerToken))?.median ?? fidelity?.millisecondsPerToken
    bytesPerToken = mean(answers.compactMap(\.bytesPerToken)) ?? fidelity?.bytesPerToken
    keysRead = mean(answers.compactMap(\.keysRead)) ?? fidelity?.keysRead
    keysReadWithStatic = mean(answers.compactMap(\.keysReadWithStatic)) ?? fidelity?.keysReadWithStatic
    prefillSeconds = TimeSpread(answers.map(\.prefillSeconds))?.median
    promptKeysRead = mean(answers.compactMap(\.promptKeysRead))
  }
}

extension EvaluationSummary {
  /// Why attentions come to the same where a context is too short to choose from: a sentence for each such length.
  public var coincidences: [String] {
    lengths.compactMap { length in
      let all = rows.filter {
        $0.length == length && $0.attention != "exact" && ($0.keysReadWithStatic ?? 0) >= 0.999
      }
      guard let first = all.first else { return nil }
      let names =
        all.count == 1
        ? "\(first.attention) reads"
        : all.dropLast().map(\.attention).joined(separator: ", ")
          + " and \(all[all.count - 1].attention) read"
      return """
        At \(length) tokens \(names) all keys, since first and last tokens and those not yet indexed are the whole \
        context: what differs from exact attention there is rounding. Longer contexts tell methods apart.
        """
    }
  }

  /// A table for people, one line a row.
  public var table: String {
    let width = max(9, attentions.map(\.count).max() ?? 0)
    func pad(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    func column(_ value: Double?, _ format: String, _ width: Int) -> String {
      pad(value.map { String(format: format, $0) } ?? "-", width)
    }
    let sentences = verdicts.map(\.sentence) + coincidences
    var lines = sentences + (sentences.isEmpty ? [] : [""])
    lines += [
      "attention".padding(toLength: width, withPad: " ", startingAt: 0)
        + "  length  questions  accuracy   mean KL   top-1  keys read  MB/token  ms/token"
        + (header.readsApart == true ? "  reading: keys, seconds" : "")
    ]
    for row in rows {
      lines.append(
        row.attention.padding(toLength: width, withPad: " ", startingAt: 0) + pad("\(row.length)", 8)
          + pad("\(row.questions)", 11) + column(row.accuracy, "%.3f", 10) + column(row.meanKL, "%.5f", 10)
          + column(row.top1, "%.3f", 8) + column(row.keysRead.map { $0 * 100 }, "%.1f %%", 11)
          + column(row.bytesPerToken.map { $0 / 1_048_576 }, "%.2f", 10)
          + column(row.millisecondsPerToken, "%.1f", 10)
          + (header.readsApart == true
            ? column(row.promptKeysRead.map { $0 * 100 }, "%.1f %%", 15)
              + column(row.prefillSeconds, "%.1f", 9) : ""))
    }
    guard !tasks.isEmpty else { return lines.joined(separator: "\n") }
    let taskWidth = tasks.map(\.count).max() ?? 0
    for length in lengths {
      let shown = rows.filter { $0.length == length && !$0.tasks.isEmpty }
      guard !shown.isEmpty else { continue }
      lines += [
        "",
        "\(length) tokens".padding(toLength: taskWidth, withPad: " ", startingAt: 0)
          + shown.map { "  " + pad($0.attention, 9) }.joined(),
      ]
      for task in tasks {
        lines.append(
          task.padding(toLength: taskWidth, withPad: " ", startingAt: 0)
            + shown.map { "  " + column($0.tasks[task], "%.3f", max(9, $0.attention.count)) }.joined())
      }
    }
    return lines.joined(separator: "\n")
  }
}
