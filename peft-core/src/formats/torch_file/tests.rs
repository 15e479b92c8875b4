//! What torch's files hold, and what is refused of them. `written` writes such files.
#![allow(clippy::unwrap_used)]

mod written;

use std::path::Path;

use super::*;
use written::{Pickle, legacy, numbers, view, zip};

fn read(file: &[u8]) -> Result<TorchFile, String> {
    super::read(file, Path::new("m.bin")).map_err(|error| error.to_string())
}

/// The only tensor of a file.
fn bare(file: &[u8]) -> Result<(Vec<usize>, Vec<f32>), String> {
    match read(file)? {
        TorchFile::Bare(data) => Ok((data.shape().as_slice().to_vec(), data.iter().collect())),
        TorchFile::Named(_) => Err("named".into()),
    }
}

#[test]
fn plain_and_other_views_are_read() {
    let plain = bare(&view(6, 0, &[2, 3], &[3, 1], 6)).unwrap();
    assert_eq!(plain, (vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    let turned = bare(&view(6, 0, &[3, 2], &[1, 3], 6)).unwrap();
    assert_eq!(turned, (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    let part = bare(&view(6, 2, &[1, 2], &[99, 1], 6)).unwrap();
    assert_eq!(part, (vec![1, 2], vec![2.0, 3.0]));
    let single = bare(&view(6, 4, &[], &[], 6)).unwrap();
    assert_eq!(single, (vec![], vec![4.0]));
    assert!(bare(&view(6, 6, &[0, 9], &[9, 1], 6)).unwrap().1.is_empty());
    // A stride of 0 repeats one value, as long as the storage is large enough.
    assert_eq!(bare(&view(6, 1, &[3, 1], &[0, 1], 6)).unwrap().1, [1.0, 1.0, 1.0]);
}

/// A file that is read piece by piece, as loaders do, has the same values, and nothing beyond them is read.
#[test]
fn parts_of_a_view_are_read_by_themselves() {
    for (offset, shape, strides, values) in [
        (0, vec![2, 3], vec![3, 1], vec![0, 1, 2, 3, 4, 5]),
        (0, vec![3, 2], vec![1, 3], vec![0, 3, 1, 4, 2, 5]),
        (1, vec![2, 2], vec![3, 1], vec![1, 2, 4, 5]),
        (2, vec![1, 2], vec![99, 1], vec![2, 3]),
        (4, vec![], vec![], vec![4]),
        (6, vec![0, 9], vec![9, 1], vec![]),
        (1, vec![3, 1], vec![0, 1], vec![1, 1, 1]),
    ] {
        let pickle = Pickle::new().raw(b"}(").text("a");
        let pickle = pickle.tensor("FloatStorage", 6, offset, &shape, &strides).raw(b"u");
        let file = pickle.file(&numbers(6));
        let place = state(&file, Path::new("m.bin"), false).unwrap().remove("a").unwrap();
        let all: Vec<u8> = values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        assert_eq!(place.data(&file).as_bytes(), all, "{shape:?} {strides:?}");
        let storage = file.windows(24).position(|part| part == numbers(6)).unwrap();
        for first in 0..=values.len() {
            let mut into = vec![0; all.len() - 4 * first];
            let read = place.read(first, &mut into, |at, into| {
                let inside = at >= storage && at + into.len() <= storage + 24;
                into.copy_from_slice(file.get(at..at + into.len()).ok_or(at)?);
                if inside || into.is_empty() { Ok(()) } else { Err(at) }
            });
            assert_eq!((read, &into[..]), (Ok(()), &all[4 * first..]), "{shape:?} {strides:?}");
        }
    }
}

#[test]
fn all_floats_and_numbers_of_64_bits_are_read() {
    for (kind, one) in [
        ("FloatStorage", &[0, 0, 0x80, 0x3f][..]),
        ("HalfStorage", &[0, 0x3c]),
        ("BFloat16Storage", &[0x80, 0x3f]),
        ("DoubleStorage", &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
    ] {
        let program = Pickle::new().tensor(kind, 1, 0, &[1, 1], &[1, 1]).raw(b".").0;
        for wide in [false, true] {
            let file = zip(&[("x/data.pkl", &program), ("x/data/0", one)], wide);
            assert_eq!(bare(&file).unwrap(), (vec![1, 1], vec![1.0]), "{kind}");
        }
    }
    let long = Pickle::new().tensor("LongStorage", 1, 0, &[1], &[1]).file(&[0; 8]);
    assert!(bare(&long).unwrap_err().contains("is not of floats"));
}

#[test]
fn dicts_parameters_and_attributes_are_read() {
    let tensor = |pickle: Pickle| pickle.tensor("FloatStorage", 2, 0, &[2, 1], &[1, 1]);
    let attributes = |pickle: Pickle| pickle.raw(b"}(").text("_metadata").raw(b"}ub");
    let pickle = Pickle::new().global("collections", "OrderedDict").raw(b")Rq\x00(").text("a");
    let pickle = tensor(pickle).raw(b"q\x01").text("b");
    let pickle = pickle.global("torch._utils", "_rebuild_parameter").raw(b"h\x01\x88}\x87R");
    let pickle = pickle.text("c").global("torch._utils", "_rebuild_parameter_with_state");
    let pickle = attributes(pickle.raw(b"(h\x01\x88}NtRu"));
    let TorchFile::Named(found) = read(&pickle.file(&numbers(2))).unwrap() else { panic!() };
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(found.values().all(|data| data.iter::<f32>().eq([0.0, 1.0])));
}

#[test]
fn nothing_but_tensors_is_named() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.storage", "UntypedStorage"),
        ("collections", "defaultdict"),
        ("torch", "load"),
    ] {
        let pickle = Pickle::new().global(module, name).raw(b"(").text("touch gotcha").raw(b"tR");
        let error = read(&pickle.file(&[])).unwrap_err();
        assert!(error.contains(&format!("asks for \"{module}.{name}\"")), "{error}");
        assert!(error.starts_with("m.bin: ") && error.contains("nothing was executed"));
    }
    // Other ways to name or make something: INST, OBJ, NEWOBJ, STACK_GLOBAL, EXT1, frames.
    for opcode in *b"io\x81\x93\x82\x95" {
        let error = read(&Pickle::new().raw(&[opcode]).file(&[])).unwrap_err();
        assert!(error.contains("pickle opcode 0x"), "{error}");
    }
    let endless = Pickle::new().global(&"x".repeat(9999), "y").file(&[]);
    assert!(read(&endless).unwrap_err().len() < 600);
}

/// What people have in place of a state dict.
#[test]
fn what_holds_other_objects_is_told_with_what_to_do() {
    let tensors = |pickle: Pickle| {
        pickle.text("state_dict").raw(b"}(").text("model.a").tensor(
            "FloatStorage",
            1,
            0,
            &[1],
            &[1],
        )
    };
    let settings = |pickle: Pickle| {
        pickle.text("hyper_parameters").global("argparse", "Namespace").raw(b")\x81")
    };
    let whole = |module: &str, name: &str| Pickle::new().global(module, name).raw(b")\x81");
    let lightning = || Pickle::new().raw(b"}(").text("pytorch-lightning_version").text("2.5.0");
    for (pickle, says) in [
        (
            tensors(settings(lightning())).raw(b"uu"),
            &[
                "asks for \"argparse.Namespace\"",
                "a checkpoint of Lightning",
                "removeprefix(\"model.\")",
            ][..],
        ),
        // The version may follow.
        (
            settings(Pickle::new().raw(b"}("))
                .text("pytorch-lightning_version")
                .text("2.5.0")
                .raw(b"u"),
            &["a checkpoint of Lightning"],
        ),
        (
            whole("transformers.models.bert.modeling_bert", "BertModel"),
            &[
                "BertModel\"",
                "a whole object",
                "torch.load(FILE, weights_only=False).save_pretrained(",
            ],
        ),
        (whole("torch.nn.modules.linear", "Linear"), &["a whole object", ".state_dict(), "]),
        (
            settings(Pickle::new().raw(b"}(")).raw(b"u"),
            &["other objects beside tensors", "hasattr(state, \"state_dict\")", "If you trust it"],
        ),
    ] {
        let file = pickle.file(&numbers(1));
        let error = state(&file, Path::new("m.bin"), false).unwrap_err().to_string();
        assert!(error.starts_with("m.bin: its pickle asks for"), "{error}");
        assert!(says.iter().all(|part| error.contains(part)), "{says:?}: {error}");
    }
    let of_deepspeed = settings(Pickle::new().raw(b"}(").text("ds_version").text("1")).raw(b"u");
    let kind = Pickle::new().raw(b"}(").text("a").global("torch._utils", "_rebuild_qtensor");
    let counts = whole("collections", "Counter");
    for (pickle, says) in [
        (of_deepspeed, "python zero_to_fp32.py . NEW"),
        (kind.raw(b")Ru"), "v.to_dense().float()"),
        (counts, "other objects beside tensors"),
    ] {
        let error = state(&pickle.file(&[]), Path::new("m.bin"), false).unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    // A number that is too large for a size is left out with what else is no tensor.
    let long = Pickle::new().raw(b"}(").text("seed").raw(b"\x8a\x09aaaaaaaaa").text("b");
    let long = long.tensor("FloatStorage", 1, 0, &[1], &[1]).raw(b"u").file(&numbers(1));
    assert!(state(&long, Path::new("m.bin"), false).unwrap().keys().eq(["b"]));
    assert!(read(b"\x80\x04\x95abc").unwrap_err().contains("found a pickle"));
    // Lightning's without other objects is read.
    let plain = tensors(lightning()).raw(b"uu").file(&numbers(1));
    let found = state(&plain, Path::new("m.bin"), false).unwrap();
    assert!(found.keys().eq(["model.a"]));
}

#[test]
fn views_beyond_their_storage_are_refused() {
    let huge = i64::MAX;
    for (case, file) in [
        ("more numbers than there are", view(7, 0, &[2, 3], &[3, 1], 6)),
        ("a larger shape", view(6, 0, &[2, 4], &[3, 1], 6)),
        ("a huge shape", view(6, 0, &[huge, huge], &[huge, 1], 6)),
        ("a huge shape of stride 0", view(6, 0, &[huge, 1], &[0, 0], 6)),
        ("an offset beyond", view(6, 1, &[2, 3], &[3, 1], 6)),
        ("a huge offset", view(6, huge, &[2, 3], &[3, 1], 6)),
        ("a stride beyond", view(6, 0, &[2, 3], &[4, 1], 6)),
        ("a huge stride", view(6, 0, &[2, 3], &[huge, 1], 6)),
        ("a negative stride", view(6, 5, &[2, 3], &[-3, -1], 6)),
        ("a negative offset", view(6, -1, &[2, 3], &[3, 1], 6)),
        ("a negative size", view(6, 0, &[-2, -3], &[3, 1], 6)),
        ("a negative count", view(-6, 0, &[2, 3], &[3, 1], 6)),
        ("too few strides", view(6, 0, &[2, 3], &[1], 6)),
        ("too many sizes", view(6, 0, &[1; 9], &[1; 9], 6)),
        ("an empty storage", view(0, 0, &[1], &[1], 0)),
    ] {
        assert!(bare(&file).is_err(), "{case}");
    }
    // As `expand` leaves it, of which torch.save keeps one value.
    let error = bare(&view(1, 0, &[4], &[0], 1)).unwrap_err();
    assert!(error.contains("but its storage holds 1 values: its values are repeated"), "{error}");
    assert!(error.contains("v.contiguous()"), "{error}");
    let error = bare(&view(6, 0, &[2, 4], &[3, 1], 6)).unwrap_err();
    assert!(error.ends_with("but its storage holds 6 values"), "{error}");
    let elsewhere = Pickle::new().tensor("FloatStorage", 1, 0, &[1], &[1]).raw(b".").0;
    let error = bare(&zip(&[("a/data.pkl", &elsewhere)], false)).unwrap_err();
    assert!(error.contains("its storage \"0\" is not in the file"), "{error}");
}

/// Many names for one large storage: each would be fine by itself.
#[test]
fn shared_numbers_are_bounded_by_the_file() {
    let pickle = Pickle::new().raw(b"}(").text("a").tensor("FloatStorage", 999, 0, &[999], &[1]);
    let shared = |count| {
        let pickle = pickle.clone().raw(b"q\x00");
        let names =
            (0..count).fold(pickle, |pickle, n| pickle.text(&format!("b{n}")).raw(b"h\x00"));
        read(&names.raw(b"u").file(&numbers(999)))
    };
    assert!(shared(1).is_ok());
    assert!(shared(99).unwrap_err().contains("together are larger than the file"));
}

/// Tuples of tuples, each twice as large as the last if they were copied; and a dict that holds
/// itself.
#[test]
fn memo_bombs_cost_nothing() {
    let twice = |pickle: Pickle, _| pickle.raw(b"q\x00h\x00h\x00\x86");
    let bomb = (0..10_000).fold(Pickle::new().raw(b")"), twice);
    assert!(read(&bomb.file(&[])).unwrap_err().contains("neither a tensor nor a dict"));
    let own = Pickle::new().raw(b"}q\x00").text("a").raw(b"h\x00s");
    assert!(read(&own.file(&[])).unwrap_err().contains("its key \"a\" holds no tensor"));
}

#[test]
fn malformed_programs_are_refused() {
    for bytes in [
        &b""[..],
        b"\x80\x04",
        b"u",
        b"s",
        b"R",
        b"Q",
        b"b",
        b"t",
        b"h\x00",
        b"q\x00",
        b"(\x85",
        b"}(Ku",
        b"}(K\x01u",
        b"X\xff\xff\xff\xff",
        b"X\x01\x00\x00\x00\xff",
        b"\x8a\x09aaaaaaaaa",
        b"cos",
        b"N",
        b"}K\x01Ns",
        b"(N(\x86",
        b"ccollections\nOrderedDict\n(K\x01tR",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b")Q",
    ] {
        assert!(read(&Pickle::new().raw(bytes).file(&[])).is_err(), "{bytes:?}");
    }
}

#[test]
fn damaged_archives_are_refused() {
    let good = view(6, 0, &[2, 3], &[3, 1], 6);
    assert!(bare(&good).is_ok());
    for len in 0..good.len() {
        assert!(bare(&good[..len]).is_err(), "{len} bytes");
    }
    let mut flipped = good.clone();
    let place = good.windows(8).position(|found| found == &numbers(2)[..]).unwrap();
    flipped[place + 5] ^= 1;
    assert!(bare(&flipped).unwrap_err().contains("its checksum differs"));

    let program = Pickle::new().tensor("FloatStorage", 0, 0, &[0], &[1]).raw(b".").0;
    let says = |entries: &[(&str, &[u8])], what: &str| {
        let error = bare(&zip(entries, false)).unwrap_err();
        assert!(error.contains(what), "{error}");
    };
    says(&[("a/data.pkl", &program), ("b/data.pkl", &program)], "exactly one `data.pkl`");
    says(&[("a/data.pkl", &program), ("a/data.pkl", &program)], "two entries");
    says(&[("a/other", b"")], "exactly one `data.pkl`");
    says(&[("a/data.pkl", &program), ("a/byteorder", b"big")], "big-endian");
    assert!(bare(b"hello").unwrap_err().contains("expected a zip archive"));
    // Compressed.
    let mut packed = good.clone();
    let at = packed.windows(4).position(|found| found == b"PK\x01\x02").unwrap();
    packed[at + 10] = 8;
    assert!(bare(&packed).unwrap_err().contains("compressed"));
}

#[test]
fn the_old_format_is_read_and_its_damage_told() {
    let object = || Pickle::new().tensor("FloatStorage", 6, 1, &[2, 2], &[3, 1]);
    let good = legacy(object(), 6, &numbers(6));
    assert_eq!(bare(&good).unwrap(), (vec![2, 2], vec![1.0, 2.0, 4.0, 5.0]));
    for len in 0..good.len() {
        assert!(bare(&good[..len]).is_err(), "{len} bytes");
    }
    for (file, says) in [
        (legacy(object(), 7, &numbers(6)), "is not whole"),
        (legacy(object(), u64::MAX, &numbers(6)), "is not whole"),
        (legacy(object(), u64::MAX / 4 + 2, &numbers(6)), "is not whole"),
        (legacy(object(), 5, &numbers(5)), "should hold 6 values"),
        (legacy(Pickle::new().raw(b"}"), 6, &numbers(6)), "is not used by any tensor"),
        (legacy(Pickle::new().global("os", "system"), 0, &[]), "asks for \"os.system\""),
    ] {
        let error = bare(&file).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    let mut big = good.clone();
    let at = big.windows(6).position(|part| part == b"endian").unwrap();
    big[at + 8] = 0x89;
    assert!(bare(&big).unwrap_err().contains("big-endian"));
    let mut newer = good;
    newer[18] = 0xea;
    assert!(bare(&newer).unwrap_err().contains("unknown version"));
}

/// The tensors of a model, by name and shape.
fn shapes(pickle: Pickle) -> Result<Vec<(String, Vec<usize>)>, String> {
    let places = super::state(&pickle.file(&numbers(6)), Path::new("m.bin"), false);
    let places = places.map_err(|error| error.to_string())?;
    Ok(places.into_iter().map(|(name, place)| (name, place.shape)).collect())
}

#[test]
fn the_state_of_a_model_is_found_beside_other_things() {
    let tensor = |pickle: Pickle| pickle.tensor("FloatStorage", 6, 0, &[6], &[1]);
    let expected = Ok(vec![("a".to_string(), vec![6])]);
    let flat = tensor(Pickle::new().raw(b"}(").text("epoch").int(3).text("a")).raw(b"u");
    assert_eq!(shapes(flat), expected);
    for name in ["state_dict", "model_state_dict", "model", "module"] {
        // Beside a tensor of the training script's own.
        let pickle = tensor(Pickle::new().raw(b"}(").text("step")).text(name).raw(b"}");
        let pickle = tensor(pickle.text("a")).raw(b"s").text("log").raw(b"](NK\x01e");
        assert_eq!(shapes(pickle.raw(b"u")), expected, "{name}");
    }
    let own = Pickle::new().raw(b"}q\x00").text("model").raw(b"h\x00s");
    for none in [own, Pickle::new().raw(b"}"), Pickle::new().raw(b"]"), tensor(Pickle::new())] {
        assert!(shapes(none).unwrap_err().contains("no dict of tensors"));
    }
    // Integers are told, not refused: old versions saved constants.
    let whole = Pickle::new().raw(b"}").text("ids").tensor("IntStorage", 6, 0, &[2, 3], &[3, 1]);
    assert_eq!(shapes(whole.raw(b"s")), Ok(vec![("ids".to_string(), vec![2, 3])]));
}

/// Damage to values is not looked for: that would read all of a large file before it is used.
#[test]
fn checksums_of_a_model_s_values_are_not_verified() {
    let pickle = Pickle::new().raw(b"}").text("a").tensor("FloatStorage", 2, 0, &[2], &[1]);
    let mut file = pickle.raw(b"s").file(&numbers(2));
    let place = file.windows(8).position(|found| found == &numbers(2)[..]).unwrap();
    file[place + 7] = 0x40;
    let found = &super::state(&file, Path::new("m.bin"), false).unwrap()["a"];
    assert!(found.data(&file).iter::<f32>().eq([0.0, 4.0]));
    assert!(read(&file).unwrap_err().contains("its checksum differs"));
}
