"""The paper's networks on torch: DBoF and LSTM over frames (§4.1), training and files."""
