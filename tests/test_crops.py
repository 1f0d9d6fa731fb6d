import pytest
from PIL import Image
from test_media import write_frames

from solos.errors import UserError
from solos.media.crops import contact_sheet, equal_boxes, read_boxes

HEADER = "piece,part,x,y,width,height\n"


def test_equal_boxes_of_a_real_and_an_odd_width():
    boxes = equal_boxes(1920, 1080, 3)
    assert boxes == [(0, 0, 640, 1080), (640, 0, 640, 1080), (1280, 0, 640, 1080)]
    boxes = equal_boxes(101, 51, 4)  # 25.25 pixels each
    assert boxes == [(0, 0, 24, 50), (24, 0, 24, 50), (50, 0, 24, 50), (74, 0, 24, 50)]


def test_the_table_of_boxes(tmp_path):
    path = tmp_path / "crops.csv"
    path.write_text(HEADER)
    assert read_boxes(path) == {}
    path.write_text(HEADER + "01_Jupiter_vn_vc,2,10,0,64,48\n")
    assert read_boxes(path) == {("01_Jupiter_vn_vc", 2): (10, 0, 64, 48)}


@pytest.mark.parametrize(
    "row",
    [
        *("a,1,-2,0,8,8", "a,1,0,0,0,8", "a,1,0.5,0,8,8", "a,1,0,0,8,", "a,1,0,0,8,8,8"),
        "b,1,0,0,9,9",
    ],
)
def test_bad_boxes_are_named(row, tmp_path):
    path = tmp_path / "crops.csv"
    path.write_text(f"{HEADER}b,1,0,0,8,8\n{row}\n")
    with pytest.raises(UserError, match="line 3: no box"):
        read_boxes(path)


def test_a_missing_table_or_column_is_named(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_boxes(tmp_path / "crops.csv")
    (tmp_path / "crops.csv").write_text("piece,part\n")
    with pytest.raises(UserError, match="columns piece, part, x"):
        read_boxes(tmp_path / "crops.csv")


def test_the_sheet_shows_every_player(tmp_path):
    for name, colour in (("a", 40), ("b", 200)):
        write_frames(tmp_path / f"{name}.zip", count=3, colour=colour)
    players = {"1 Violin": tmp_path / "a.zip", "2 Cello": tmp_path / "b.zip"}
    sheet = contact_sheet([("01_One", players), ("02_Two", players)])
    assert isinstance(sheet, Image.Image)
    strip = 120 + 2 * 16
    assert sheet.height == 2 * strip
    for top in (0, strip):
        assert sheet.getpixel((80, top + 76))[0] == pytest.approx(40, abs=3)
        assert sheet.getpixel((240, top + 76))[0] == pytest.approx(200, abs=3)
