// One question to one attention, and what is kept of the answer.

import Generation

extension TaskEvaluation {
  /// A sample, and where in the evaluation it is asked about.
  struct AskedSample {
    var task: any EvaluationTask
    var length: Int
    var number: Int
    var sample: TaskSample
    var prompts: QuestionPrompts
  }

  func ask(
    _ index: Int, of asked: AskedSample, attention: EvaluatedAttention, on context: SharedContext
  ) throws -> AnswerRecord {
    let (task, prompts, sample) = (asked.task, asked.prompts, asked.sample)
    let question = sample.questions[index]
    let reader =
      settings.notesPassages && attention.policy != nil
      ? PassageReader(heads: try readyHeads(), context: sample.context) : nil
    let trace = reader?.heads.makeTrace()
    let answer = try context.answer(
      attention, maximumTokens: task.answerTokens,
      byToken: settings.readsQuestionsByToken ? prompts.questions[index] : nil, trace: trace
    ) { task.scoring.isDecided($0, expected: question.expected) }
    let passages = try trace.flatMap { trace in
      try reader?.passages(
        of: answer, trace: trace, prompt: prompts.context + prompts.questions[index],
        tokenizer: model.tokenizer)
    }
    let hasSteps = !answer.steps.values.isEmpty
    let reads = hasSteps ? answer.reads : nil
    return AnswerRecord(
      task: task.name, length: asked.length, attention: attention.name, sample: asked.number, question: index,
      questionCount: sample.questions.count, depth: question.depth,
      promptTokens: prompts.context.count + prompts.questions[index].count,
      expected: question.expected, answer: answer.text,
      score: task.scoring.score(answer.text, expected: question.expected), steps: answer.steps.values.count,
      millisecondsPerToken: answer.steps.spread?.median, bytesPerToken: reads?.bytesPerToken,
      keysRead: reads?.keysRead, keysReadWithStatic: reads?.keysReadWithStatic,
      prefillSeconds: context.prefillSeconds(of: attention),
      promptKeysRead: context.promptKeysRead(of: attention), passages: passages)
  }
}
