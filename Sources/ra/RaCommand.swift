// The command line: one file a subcommand, and no logic of its own.

import ArgumentParser
import AttentionKernels

struct RaCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ra",
    abstract: "Long contexts for local language models, with attention served from a vector index.",
    discussion: """
      Runs GGUF models (ra doctor tells which). All keys and values stay in main memory; each generated token \
      attends exactly to the first and the last tokens and looks up what matters of the rest \
      (RetrievalAttention, arXiv 2409.10516).

      RA_SIMD_LEVEL=scalar|neon|avx2|avx512 forces the kernels of one level. RA_BACKENDS=folder says where ggml's \
      modules for GPUs are, if not beside this program.
      """,
    version: "0.1.0",
    subcommands: [
      GenerateCommand.self, IngestCommand.self, AskCommand.self, ChatCommand.self, SessionCommand.self,
      ServeCommand.self, FidelityCommand.self, EvaluateCommand.self, TuneCommand.self, AttentionCommand.self,
      CaptureCommand.self, PullCommand.self, ModelsCommand.self, DoctorCommand.self, DevicesCommand.self,
      BenchCommand.self,
    ]
  )
}
