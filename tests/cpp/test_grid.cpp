#include <vector>

#include "edge/grid.hpp"
#include "harness.hpp"

namespace {

constexpr edge::GridShape kShape{2, 3, 4};
constexpr std::size_t kCells = 12;

struct Grid {
    std::vector<float> logits = std::vector<float>(3 * kCells, 0.0F);
    std::vector<float> log_distance = std::vector<float>(kCells, 0.0F);

    Grid() {
        for (std::size_t i = 0; i < kCells; ++i) {
            logits[i] = 10.0F;
        }
    }
    void set(std::size_t cell, std::size_t class_index, double metres) {
        logits[cell] = 0.0F;
        logits[(1 + class_index) * kCells + cell] = 10.0F;
        log_distance[cell] = static_cast<float>(std::log(metres));
    }
    std::vector<edge::GridObject> decode() const {
        return edge::decode_grid(logits.data(), log_distance.data(), kShape, 0.5, 1.15);
    }
};

void an_empty_grid_holds_nothing() { CHECK(Grid().decode().empty()); }

void diagonal_cells_join_and_boxes_are_exclusive() {
    Grid grid;
    grid.set(0, 1, 10);
    grid.set(5, 1, 11);
    const std::vector<edge::GridObject> found = grid.decode();
    CHECK(found.size() == 1);
    CHECK(found[0].class_index == 1);
    CHECK(found[0].left == 0 && found[0].top == 0 && found[0].right == 2 && found[0].bottom == 2);
    CHECK_NEAR(found[0].log_distance, 0.5 * (std::log(10.0) + std::log(11.0)), 1e-6);
}

void rows_do_not_wrap_around() {
    Grid grid;
    grid.set(3, 0, 10);
    grid.set(4, 0, 10);
    CHECK(grid.decode().size() == 2);
}

void a_full_grid_is_one_object() {
    Grid grid;
    for (std::size_t i = 0; i < kCells; ++i) {
        grid.set(i, 0, 10);
    }
    const std::vector<edge::GridObject> found = grid.decode();
    CHECK(found.size() == 1);
    CHECK(found[0].right == 4 && found[0].bottom == 3);
    CHECK(found[0].score > 0.99 && found[0].score <= 1.0);
}

}  // namespace

int main() {
    an_empty_grid_holds_nothing();
    diagonal_cells_join_and_boxes_are_exclusive();
    rows_do_not_wrap_around();
    a_full_grid_is_one_object();
}
