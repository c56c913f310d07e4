"""What notebooks need besides the library: pictures with words, sliders, parameters, claims."""
