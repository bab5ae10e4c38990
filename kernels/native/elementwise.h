// Included like lanes.h.

/// out[t] = weight[token[t]] · scale for tokens [first, last).
void embed(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const Weight& weight = call.weight(8);
  const size_t n = call.size(9);
  const F scale = splat(call.real(10));
  float* values = reinterpret_cast<float*>(scratch);
  for (size_t row = first; row < last; row++) {
    const size_t token = static_cast<size_t>(call.program.step.tokens[row]);
    call.program.matrix->gatherRow(weight.format, weight.data, weight.rows, n, token, values);
    mapRow(call.outF32(row), values, n, [scale](F v) { return v * scale; });
  }
}

/// out[t] = a[t] + weight[position[t]] for tokens [first, last).
void addPosition(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const Weight& weight = call.weight(8);
  const size_t n = call.size(9);
  float* values = reinterpret_cast<float*>(scratch);
  for (size_t row = first; row < last; row++) {
    const size_t position = static_cast<size_t>(call.program.step.positions[row]);
    call.program.matrix->gatherRow(weight.format, weight.data, weight.rows, n, position, values);
    mapRows(call.outF32(row), call.aF32(row), values, n, [](F x, F v) { return x + v; });
  }
}

/// out = a + b for rows [first, last); out may be either.
void add(const Call& call, size_t first, size_t last, uint8_t*) {
  const size_t n = call.size(8);
  for (size_t row = first; row < last; row++) {
    mapRows(call.outF32(row), call.aF32(row), call.bF32(row), n, [](F x, F y) { return x + y; });
  }
}

/// out = function(a) · b for rows [first, last); f32 or q8.
void gated(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const size_t n = call.size(8);
  const bool isSilu = call.word(9) == 0, quantized = call.word(10) != 0;
  for (size_t row = first; row < last; row++) {
    float* y = quantized ? reinterpret_cast<float*>(scratch) : call.outF32(row);
    if (isSilu) mapRows(y, call.aF32(row), call.bF32(row), n, [](F gate, F up) { return silu(gate) * up; });
    else mapRows(y, call.aF32(row), call.bF32(row), n, [](F gate, F up) { return gelu(gate) * up; });
    if (quantized) call.program.matrix->quantizeRow(y, call.out(row), n);
  }
}

/// out = function(a) for rows [first, last); f32 or q8.
void activate(const Call& call, size_t first, size_t last, uint8_t* scratch) {
  const size_t n = call.size(8);
  const bool isSilu = call.word(9) == 0, quantized = call.word(10) != 0;
  for (size_t row = first; row < last; row++) {
    float* y = quantized ? reinterpret_cast<float*>(scratch) : call.outF32(row);
    if (isSilu) mapRow(y, call.aF32(row), n, [](F x) { return silu(x); });
    else mapRow(y, call.aF32(row), n, [](F x) { return gelu(x); });
    if (quantized) call.program.matrix->quantizeRow(y, call.out(row), n);
  }
}

/// out = cap · tanh(a / cap), values [from, to) of one row; out may be a.
void softcapRow(const Call& call, size_t row, size_t from, size_t to) {
  const F cap = splat(call.real(9));
  mapRow(call.outF32(row) + from, call.aF32(row) + from, to - from, [cap](F x) { return softcap(x, cap); });
}

/// out (q8) = a for rows [first, last).
void quantize(const Call& call, size_t first, size_t last, uint8_t*) {
  for (size_t row = first; row < last; row++) {
    call.program.matrix->quantizeRow(call.aF32(row), call.out(row), call.size(8));
  }
}

/// out[r] = a[wanted[r]] for rows [first, last).
void gatherRows(const Call& call, size_t first, size_t last, uint8_t*) {
  const size_t n = call.size(8);
  for (size_t row = first; row < last; row++) {
    const size_t from = static_cast<size_t>(call.program.step.wanted[row]);
    std::memcpy(call.out(row), call.a(from), n * sizeof(float));
  }
}
