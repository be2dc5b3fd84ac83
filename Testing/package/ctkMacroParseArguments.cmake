# CTK's macro of that name is CMake's own, with options and lists the other way round.
macro(ctkMacroParseArguments prefix lists options)
  cmake_parse_arguments(${prefix} "${options}" "" "${lists}" ${ARGN})
endmacro()
