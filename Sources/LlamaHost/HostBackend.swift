// Starts the ggml back ends once for the whole process.

import CLlama

enum HostBackend {
  /// Starts llama.cpp, silences its log and loads back ends that are installed as separate libraries.
  static func start() { _ = started }

  private static let started: Void = {
    HostLog.install()
    llama_backend_init()
    // Packaged builds keep even the CPU back end in a library of its own; static builds register it
    // themselves.
    if ggml_backend_reg_count() == 0 { ggml_backend_load_all() }
  }()
}
