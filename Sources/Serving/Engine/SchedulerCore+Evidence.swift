// Which passages an answer came from.

import Evidence
import Generation
import LlamaHost

extension SchedulerCore {
  /// The passages of a choice that is complete; nil where nobody asked, or nothing can be said.
  func evidence(of job: SequenceJob) -> EvidenceRecord? {
    guard let trace = job.trace else { return nil }
    let tokenizer = runner.model.tokenizer
    let (request, prompt) = (job.group.request, job.group.prompt)
    let found: AnswerSources
    if let id = request.session {
      found = AnswerSources(registry.document(id)?.documents ?? [], in: prompt, tokenizer: tokenizer)
    } else {
      found = AnswerSources(
        request.sources.map { ($0.name, $0.text) }, in: prompt, tokenizer: tokenizer)
    }
    guard let sources = try? EvidenceSources(found.documents) else { return nil }
    let answer = AnswerTrace(
      text: job.text.content, tokens: job.text.tokens, start: prompt.count,
      question: request.question.flatMap { ContextText.question($0, in: prompt, tokenizer: tokenizer) },
      trace: trace, heads: evidenceHeads, tokenizer: tokenizer)
    return (try? AnswerEvidence(sources, of: answer)).map { EvidenceRecord($0, sources: sources) }
  }
}

extension CompletionRequest {
  /// What was asked last.
  fileprivate var question: String? {
    guard case .chat(let request) = prompt else { return nil }
    return request.messages.last { $0.role == .user }?.content
  }
}
