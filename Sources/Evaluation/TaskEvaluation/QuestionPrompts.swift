// One context and many questions as tokens: what all prompts share, and what each adds.

import Generation
package import LlamaHost

/// The prompts of a sample, cut where they begin to differ.
package struct QuestionPrompts {
  /// Tokens that all prompts begin with: the context, read once.
  package let context: [Int32]
  /// What follows for each question: the question, the template's end, the beginning of the answer. Never empty.
  package let questions: [[Int32]]

  /// Tokenizes every prompt as a whole and cuts there, so that merges of tokens at the border between context and
  /// question are what they would be in a single prompt.
  package init(_ sample: TaskSample, model: LlamaModel, raw: Bool) throws {
    let prompts = try sample.questions.map { question in
      try Self.prompt(sample, question: question, model: model, raw: raw)
    }
    // Other questions, so that a single one does not count as context, nor what several have in common.
    let others = try ["#", "1", "One"].map {
      try Self.prompt(
        sample, question: TaskQuestion(text: $0, answerPrefix: "", expected: []),
        model: model,
        raw: raw)
    }
    guard let first = prompts.first else { throw GenerationError.emptyPrompt }
    var shared = first.count
    for prompt in prompts.dropFirst() + others {
      shared = min(shared, zip(first, prompt).prefix { $0 == $1 }.count)
    }
    // Something must be left to read, for the logits of the first token.
    shared = min(shared, (prompts.map(\.count).min() ?? 1) - 1)
    guard shared > 0 else { throw GenerationError.emptyPrompt }
    context = Array(first[..<shared])
    questions = prompts.map { Array($0[shared...]) }
  }

  /// The longest prompt.
  package var longestPrompt: Int { context.count + (questions.map(\.count).max() ?? 0) }

  /// The tokens of one prompt, up to where the model goes on.
  static func prompt(
    _ sample: TaskSample, question: TaskQuestion, model: LlamaModel, raw: Bool
  ) throws -> [Int32] {
    let text = sample.context + sample.separator + question.text
    guard !raw, let template = model.chatTemplate else {
      // The prefixes of RULER's files bring their own space.
      let isJoined = question.answerPrefix.first?.isWhitespace ?? true
      let start = isJoined ? question.answerPrefix : "\n" + question.answerPrefix
      return try model.tokenizer.tokenize(text + start, addSpecial: true, parseSpecial: false)
    }
    var tokens = try template.tokenize([ChatMessage(role: .user, content: text)])
    if !question.answerPrefix.isEmpty {
      tokens += try model.tokenizer.tokenize(question.answerPrefix, addSpecial: false, parseSpecial: false)
    }
    return tokens
  }

  /// Tokens of the longest prompt of `sample`, from one prompt and the lengths of the other questions by themselves:
  /// exact but for merges at the border.
  static func estimate(_ sample: TaskSample, model: LlamaModel, raw: Bool) throws -> Int {
    guard let first = sample.questions.first else { return 0 }
    let whole = try prompt(sample, question: first, model: model, raw: raw).count
    let alone = try sample.questions.map {
      try model.tokenizer.tokenize($0.text + "\n" + $0.answerPrefix, addSpecial: false, parseSpecial: false)
        .count
    }
    return whole + (alone.max() ?? 0) - (alone.first ?? 0)
  }
}

extension SampleFitting {
  /// The longest sample of a task that fits in `length` tokens with its answer, with its prompts.
  package static func sample(
    _ task: any EvaluationTask, length: Int, request: TaskRequest, model: LlamaModel, raw: Bool
  ) throws -> (sample: TaskSample, prompts: QuestionPrompts) {
    var target = length
    while true {
      let sample = try SampleFitting(task: task, length: target) {
        try QuestionPrompts.estimate($0, model: model, raw: raw)
      }.fit(request)
      let prompts = try QuestionPrompts(sample, model: model, raw: raw)
      let excess = prompts.longestPrompt + task.answerTokens - length
      if excess <= 0 { return (sample, prompts) }
      target -= excess
    }
  }
}
