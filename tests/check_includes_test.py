"""The include check finds what it should, in trees made for the purpose."""

import pathlib
import tempfile
import unittest

from check_includes import FOLDERS, MAY_USE, check_tree


class CheckIncludes(unittest.TestCase):
    def errors(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return [f"{path}:{line}" for path, line, _ in check_tree(pathlib.Path(root))]

    def test_an_include_up_the_graph_is_found_with_its_line(self):
        self.assertEqual(self.errors({"rag/a.cpp": '#include <string>\n#include "engine/engine.hpp"\n'}), ["rag/a.cpp:2"])

    def test_an_include_down_the_graph_is_fine(self):
        self.assertEqual(self.errors({"gateway/a.cpp": '#include "cache/b.hpp"\n#include "gateway/c.hpp"\n'}), [])

    def test_the_cache_knows_the_embedders_interface_and_no_more_of_it(self):
        files = {"cache/a.cpp": '#include "embed/embedder.hpp"\n', "cache/b.hpp": '#include "embed/encoder.hpp"\n'}
        self.assertEqual(self.errors(files), ["cache/b.hpp:1"])

    def test_brackets_spaces_and_relative_paths_do_not_hide_an_include(self):
        files = {
            "kernels/a.cpp": "  #  include <rag/prompt.hpp>\n",
            "kernels/b.cpp": '#include "../rag/prompt.hpp"\n',
            "kernels/c.cpp": '#include "neighbour.hpp"\n',
        }
        self.assertEqual(self.errors(files), ["kernels/a.cpp:1", "kernels/b.cpp:1", "kernels/c.cpp:1"])

    def test_a_comment_is_not_an_include(self):
        self.assertEqual(self.errors({"rag/a.hpp": '// #include "cache/b.hpp"\n'}), [])

    def test_tests_may_use_what_their_folder_may(self):
        files = {"tests/cache/a_test.cpp": '#include "rag/prompt.hpp"\n#include "engine/engine.hpp"\n'}
        self.assertEqual(self.errors(files), ["tests/cache/a_test.cpp:2"])

    def test_only_tests_include_the_headers_of_tests(self):
        files = {"tests/rag/a_test.cpp": '#include "tests/rag/b.hpp"\n#include "tests/all.hpp"\n',
                 "rag/a.cpp": '#include "tests/rag/b.hpp"\n'}
        self.assertEqual(self.errors(files), ["rag/a.cpp:1"])

    def test_linking_is_checked_too(self):
        files = {"cache/CMakeLists.txt": "target_link_libraries(kvasir_cache PUBLIC kvasir_rag kvasir_embed)\n"}
        self.assertEqual(self.errors(files), ["cache/CMakeLists.txt:1"])

    def test_the_graph_has_no_cycle(self):
        order = {folder: index for index, folder in enumerate(FOLDERS)}
        for folder, uses in MAY_USE.items():
            for used in uses:
                self.assertLess(order[used.split("/")[0]], order[folder], f"{folder} uses {used}")


if __name__ == "__main__":
    unittest.main()
